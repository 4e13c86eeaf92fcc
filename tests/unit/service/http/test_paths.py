import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.lock import NAME
from service.http.paths import BENTOML, PATH_CHARS_MAX, Target, Verb, parse, templates

ROUTES = [
    ("/v1/models/m:predict", Target(Verb.V1_PREDICT, "POST", "m")),
    ("/v1/models/m/versions/2:predict", Target(Verb.V1_PREDICT, "POST", "m", "2")),
    ("/v1/models/m:feedback", Target(Verb.FEEDBACK, "POST", "m")),
    ("/v1/models/m", Target(Verb.V1_STATUS, "GET", "m")),
    ("/v1/models/m/versions/2", Target(Verb.V1_STATUS, "GET", "m", "2")),
    ("/v2", Target(Verb.V2_SERVER, "GET")),
    ("/v2/health/live", Target(Verb.V2_LIVE, "GET")),
    ("/v2/health/ready", Target(Verb.V2_READY, "GET")),
    ("/v2/models/m", Target(Verb.V2_MODEL, "GET", "m")),
    ("/v2/models/m/versions/2", Target(Verb.V2_MODEL, "GET", "m", "2")),
    ("/v2/models/m/infer", Target(Verb.V2_INFER, "POST", "m")),
    ("/v2/models/m/versions/2/infer", Target(Verb.V2_INFER, "POST", "m", "2")),
    ("/v2/models/m/ready", Target(Verb.V2_MODEL_READY, "GET", "m")),
    ("/v2/models/m/versions/2/ready", Target(Verb.V2_MODEL_READY, "GET", "m", "2")),
    ("/v2/models/m/config", Target(Verb.V2_CONFIG, "GET", "m")),
    ("/v2/models/m/stats", Target(Verb.V2_STATS, "GET", "m")),
    ("/v2/models/m/versions/1/stats", Target(Verb.V2_STATS, "GET", "m", "1")),
    ("/v2/repository/index", Target(Verb.V2_INDEX, "POST")),
    ("/livez", Target(Verb.LIVEZ, "GET")),
    ("/healthz", Target(Verb.LIVEZ, "GET")),
    ("/readyz", Target(Verb.READYZ, "GET")),
    ("/metrics", Target(Verb.METRICS, "GET")),
    ("/admin/routes", Target(Verb.ADMIN_ROUTES, "GET", other=Target(Verb.ADMIN_ROUTES_REPLACE, "PUT"))),
    ("/admin/routes/m", Target(Verb.ADMIN_ROUTES_CHANGE, "POST", "m")),
    ("/admin/routes/history", Target(Verb.ADMIN_ROUTES_CHANGE, "POST", "history")),
    ("/admin/routes/m/history", Target(Verb.ADMIN_ROUTES_HISTORY, "GET", "m")),
    ("/openapi.json", Target(Verb.OPENAPI, "GET")),
    ("/docs", Target(Verb.DOCS, "GET")),
    ("/", Target(Verb.ROOT, "GET")),
]
UNKNOWN = [
    "/v1/",
    "/v1/models",
    "/v1/models/m/versions",
    "/v1/models/m/versions/2/more",
    "/v1/models/m:explain",
    "/v1/models/m:predict:predict",
    "/v1/models/m/infer",
    "/v2/models",
    "/v2/models/m/versions",
    "/v2/models/m/versions/UPPER",
    "/v2/models/m/versions/../infer",
    "/v2/models/m/versions/" + "1" * 65,
    "/v2/models/m/stats/more",
    "/v2/models/m:predict/x",
    "/v2/health",
    "/admin/",
    "/admin/nothing",
    "/admin/routes/",
    "/admin/routes/UPPER",
    "/admin/routes/m/canary",
    "/admin/routes/m/history/",
    "/admin/routes//history",
    "/admin/routes/m/history/history",
    "/v2/models/" + "m" * 300 + "/infer",
    "/v1/models/m/versions/2:feedback",
    "",
    "/nothing",
    "/v3/models/m",
    "/V2",
    "//v2/models/m",
    "v2",
    "/x/v2/models/m/infer",
    "/schema.json/",
    "/docs.json",
    "/x" * PATH_CHARS_MAX,
]


@pytest.mark.parametrize(("path", "target"), ROUTES)
def test_every_route_of_the_table_is_found(path: str, target: Target) -> None:
    assert parse(path) == target


@pytest.mark.parametrize("path", UNKNOWN)
def test_other_paths_are_unknown_without_a_name(path: str) -> None:
    assert parse(path) == Target(Verb.UNKNOWN, "")


def test_what_bentomls_own_client_asks_for_is_bentomls() -> None:
    assert [path for path in BENTOML if parse(path) is None] == ["/schema.json"]


def test_every_template_is_a_path_that_is_parsed_to_its_target() -> None:
    for template, target in templates():
        path = template.format(model="m", version="2")
        version = "2" if target.version is not None else None
        expected = replace(target, model="m" if target.model else "", version=version)
        assert (parse(path) or BENTOML[path]).asked(target.method) == expected
    assert {target.verb for _, target in templates()} == set(Verb) - {Verb.UNKNOWN}
    assert len({(template, target.method) for template, target in templates()}) == len(templates())


def test_a_path_may_have_several_methods_and_no_other() -> None:
    target = parse("/admin/routes")
    assert target is not None
    asked = {method: target.asked(method) for method in ("GET", "HEAD", "PUT", "POST", "DELETE")}
    verbs = {method: found.verb if found else None for method, found in asked.items()}
    read, write = Verb.ADMIN_ROUTES, Verb.ADMIN_ROUTES_REPLACE
    assert verbs == {"GET": read, "HEAD": read, "PUT": write, "POST": None, "DELETE": None}
    assert target.methods == "GET, PUT"


PIECES = (
    "v1",
    "v2",
    "models",
    "versions",
    "admin",
    "m",
    "2",
    "infer",
    "ready",
    ":predict",
    "m:predict",
    "",
    "..",
    "%00",
)


def test_ten_thousand_random_paths_never_raise_and_never_become_a_label() -> None:
    random_ = random.Random(1)
    known = {parse(path) for path, _ in ROUTES}
    for number in range(10_000):
        pieces = random_.choices((*PIECES, f"x{number}", chr(random_.randrange(1, 0x3000))), k=random_.randrange(7))
        target = parse("/" + "/".join(pieces))
        assert target is None or target.verb in set(Verb), f"seed 1, {pieces}"
        if target is not None and target.verb is Verb.UNKNOWN:
            assert (target.model, target.version) == ("", None)
        if target is not None and target.version is not None:
            assert NAME.fullmatch(target.version)
    assert {parse(path) for path, _ in ROUTES} == known


@given(st.text(max_size=400))
def test_any_text_is_parsed(text: str) -> None:
    for path in (text, f"/v1/{text}", f"/v2/models/{text}"):
        parse(path)


def test_a_long_path_is_not_remembered() -> None:
    path = "/v1/models/" + "m" * PATH_CHARS_MAX + ":predict"
    assert parse(path) == Target(Verb.UNKNOWN, "")
    longest = f"/v1/models/{'m' * 64}/versions/{'v' * 64}:predict"
    assert len(longest) <= PATH_CHARS_MAX
    assert parse(longest) == Target(Verb.V1_PREDICT, "POST", "m" * 64, "v" * 64)
