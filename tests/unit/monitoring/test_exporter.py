import asyncio

import httpx
import msgspec
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitoring.exporter import app
from monitoring.fold import fold
from monitoring.picture import gallery_of
from monitoring.pulse import Pulse
from monitoring.rules import Rules
from monitoring.shadows.said import said
from monitoring.state import State
from monitoring.status import LoopStatus, OutboxStatus, Status, log_of, unrouted_of, versions_of
from service.featurelog.record import Outcome, Problem, Request, SkewKind
from tests.unit.monitoring.made import START_MINUTE, START_US, chunk, model, refused, traffic
from tests.unit.monitoring.shadows.made import REFERENCES, answer, run, shadow
from tests.unit.monitoring.shadows.made import chunk as chunk_of

MADE = model(rows=5000)
RULES = Rules()


def replace_model(record: Request, name: str) -> Request:
    return msgspec.structs.replace(record, model=name)


def status(*, scale: float = 1.0, strangers: int = 1) -> Status:
    state = State()
    records = traffic(
        np.random.default_rng(1), minutes=range(START_MINUTE, START_MINUTE + 10), rows_per_minute=60, scale=scale
    )
    odd = [
        refused(START_US, problems=[Problem(SkewKind.ABSENT, "f1", 1)]),
        refused(START_US, Outcome.SHED),
        *(replace_model(refused(START_US, schema=-1, arm=""), f"model-{i}") for i in range(strangers)),
    ]
    fold(state, chunk(*odd, *records, made=MADE), settled=True, rules=RULES, references=MADE.references())
    return Status(
        versions=versions_of(state, RULES),
        unrouted=unrouted_of(state, RULES),
        outbox=OutboxStatus("hooks.example", pending=1),
        log=log_of(state, {"w0": (1, 0, 99)}, caught_up=True, lag_bytes=12),
        loop=LoopStatus(3, 0, "", 1, 2, 200, 5, 6),
        rules=RULES,
    )


@pytest.fixture
def pulse() -> Pulse:
    return Pulse(status(), 30.0)


def get(pulse: Pulse, path: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app(pulse)), base_url="http://monitor") as client:
            return await client.get(path)

    return asyncio.run(ask())


def samples(pulse: Pulse) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = get(pulse, "/metrics").text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(pulse: Pulse, name: str, **labels: str) -> float:
    return samples(pulse)[f"plumbline_monitor_{name}", tuple(sorted(labels.items()))]


ARM = {"model": "payments", "version": "1", "arm": "stable"}


def test_rates_errors_and_latency_are_those_of_the_window(pulse: Pulse) -> None:
    assert value(pulse, "requests_total", **ARM, outcome="answered") == 600
    assert value(pulse, "requests_total", **ARM, outcome="shed") == 1
    assert value(pulse, "requests_total", model="", version="", arm="", outcome="rejected") == 1
    assert value(pulse, "requests_per_second", **ARM) == pytest.approx(1.0)
    assert value(pulse, "rows_per_second", **ARM) == pytest.approx(1.0)
    assert value(pulse, "error_ratio", **ARM) == 0
    assert value(pulse, "latency_seconds", **ARM, quantile="0.99") == pytest.approx(0.0015, rel=0.02)


def test_drift_skew_and_the_alert_are_shown_by_column_and_kind_in_the_window_that_says_most() -> None:
    pulse = Pulse(status(scale=1000.0), 30.0)
    check = {"model": "payments", "version": "1", "side": "feature", "column": "f0"}
    assert value(pulse, "drifted", **check, kind="drift") == 1
    assert value(pulse, "effect", **check, kind="drift") > 1
    assert value(pulse, "effect", **check, kind="above") > 0.4
    assert value(pulse, "drifted", **{**check, "column": "f1"}, kind="drift") == 0
    assert value(pulse, "alert_phase", model="payments", version="1", phase="firing") == 1
    assert value(pulse, "alert_phase", model="payments", version="1", phase="quiet") == 0


def test_every_name_has_the_prefix_and_every_counter_its_suffix(pulse: Pulse) -> None:
    for family in text_string_to_metric_families(get(pulse, "/metrics").text):
        assert family.name.startswith("plumbline_monitor_")
        assert family.documentation
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples)


def test_a_version_pinned_anew_makes_no_series_twice() -> None:
    both = status()
    twin = both.versions[0].__class__(
        **{name: getattr(both.versions[0], name) for name in both.versions[0].__struct_fields__}
        | {"digest": "sha256:other"}
    )
    pulse = Pulse(
        Status(
            **{name: getattr(both, name) for name in both.__struct_fields__} | {"versions": (both.versions[0], twin)}
        ),
        30.0,
    )
    text = get(pulse, "/metrics").text
    series = [line.rsplit(" ", 1)[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(series) == len(set(series))


def test_the_status_says_everything_a_page_would_show(pulse: Pulse) -> None:
    told = get(pulse, "/api/status").json()
    (version,) = told["versions"]
    assert version["alert"]["phase"] == "quiet"
    assert version["standing"] == "clear"
    assert {check["column"] for check in version["drift"]} == {"f0", "f1", "f2", "city", "score"}
    assert {check["verdict"] for check in version["drift"]} == {"stable"}
    assert ("f1", "absent") in [(check["column"], check["check"]) for check in version["skew"]]
    assert len({(check["column"], check["check"]) for check in version["skew"]}) == len(version["skew"])
    assert told["outbox"]["pending"] == 1
    assert told["log"]["positions"] == {"w0": [1, 0, 99]}
    assert told["rules"]["drift_windows_s"] == list(Rules().drift_windows_s)


def test_a_picture_has_both_histograms_and_the_measures_of_the_window_that_is_asked_for() -> None:
    state = State()
    records = traffic(
        np.random.default_rng(0), minutes=range(START_MINUTE, START_MINUTE + 10), rows_per_minute=60, scale=3.0
    )
    fold(state, chunk(*records, made=MADE), settled=True, rules=RULES, references=MADE.references())
    pulse = Pulse(status(), 30.0)
    pulse.publish(status(), gallery_of(state, RULES))
    told = get(pulse, "/api/drift?model=payments&window_s=240").json()
    assert (told["window_s"], told["to_s"] - told["from_s"]) == (240, 240)
    wide, same = (next(column for column in told["columns"] if column["column"] == name) for name in ("f0", "f1"))
    assert (wide["verdict"], same["verdict"]) == ("drifted", "stable")
    assert wide["effects"]["wasserstein_sigma"][0] > 1 > wide["effects"]["total_variation"][2]
    assert len(wide["labels"]) == len(wide["baseline"]) == len(wide["window"])
    assert sum(wide["window"]) == 240
    assert get(pulse, "/api/drift?model=payments").json()["window_s"] == 120  # the shortest that has rows enough
    assert [
        get(pulse, f"/api/drift?{query}").status_code for query in ("model=other", "model=payments&window_s=7")
    ] == [404, 404]
    assert get(pulse, "/api/drift?model=payments&window_s=-1").status_code == 400


def test_shadows_are_shown_by_model_and_each_series_once() -> None:
    state = State()
    records = [answer(0, [(0.0, "no")]), shadow(0, [(0.5, "yes")]), shadow(1, [(0.5, "yes")])]
    fold(state, chunk_of(run(records)), settled=True, rules=RULES, references=REFERENCES)
    pulse = Pulse(msgspec.structs.replace(status(), shadows=said(state.shadows, 0, REFERENCES)), 30.0)
    rival = {"model": "payments", "version": "1", "shadow": "2"}
    assert value(pulse, "shadow_requests", **rival) == 1
    assert value(pulse, "shadow_agreement_ratio", **rival, output="label") == 0
    assert value(pulse, "shadow_mean_difference", **rival, output="score") == pytest.approx(0.5, abs=0.01)
    unpaired = {"model": "payments", "shadow": "2", "reason": "no_answer"}
    assert value(pulse, "shadow_unpaired_total", **unpaired) == 1
    (one,) = get(pulse, "/api/shadows?model=payments").json()["compared"]
    assert [worst["request_id"] for worst in one["worst"]] == ["r0"]
    assert get(pulse, "/api/shadows?model=other").json()["compared"] == []


def test_health_follows_the_loop(pulse: Pulse) -> None:
    assert get(pulse, "/healthz").status_code == 200
    pulse.fail("OSError: log is gone")
    answer = get(pulse, "/healthz")
    assert answer.status_code == 503
    assert answer.json()["reason"] == "last tick failed: OSError: log is gone"


def test_series_do_not_grow_with_names_that_clients_make_up() -> None:
    assert set(samples(Pulse(status(strangers=500), 30.0))) == set(samples(Pulse(status(), 30.0)))
