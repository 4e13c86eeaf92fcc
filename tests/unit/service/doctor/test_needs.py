"""How much do settings need: each bound from both sides."""

from typing import Any

import pytest

from models.finding import Level
from service.doctor import names, needs

GIB = 1 << 30
ROOMY: dict[str, Any] = {
    "log": 0, "archive": 0, "log_max": 2 * GIB, "archive_max": 4 * GIB, "segment": 1 << 26, "reserve": 1 << 20, "workers": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    ("free", "given", "level"),
    [
        (6 * GIB, {}, Level.OK),
        (6 * GIB - 1, {}, Level.WARN),
        (5 * GIB, {"archive": GIB}, Level.OK),
        (GIB, {"log": 9 * GIB, "archive": 9 * GIB}, Level.OK),
        (100 * GIB, {"archive_max": 0}, Level.WARN),
        (100 * GIB, {"log_max": 0}, Level.WARN),
        (2 * ((1 << 26) + (1 << 20)), {}, Level.WARN),
        (2 * ((1 << 26) + (1 << 20)) - 1, {}, Level.BAD),
    ],
)
def test_the_disk_is_held_against_what_the_limits_leave(free: int, given: dict[str, Any], level: Level) -> None:
    assert needs.disk(free, **{**ROOMY, **given}).level is level


@pytest.mark.parametrize(
    ("limit", "level"), [(2256, Level.OK), (2255, Level.WARN), (1000, Level.WARN), (999, Level.BAD)]
)
def test_open_files_are_held_against_the_connections(limit: int, level: Level) -> None:
    assert needs.descriptors(limit, 1000).level is level


@pytest.mark.parametrize(
    ("after_s", "level"), [(100.0, Level.OK), (100.04, Level.OK), (99.9, Level.WARN), (3700.0, Level.WARN)]
)
def test_a_clock_that_is_set_while_it_is_looked_at_is_told(after_s: float, level: Level) -> None:
    assert needs.clock_step(100.0, after_s).level is level


@pytest.mark.parametrize(
    ("at_us", "level"),
    [(None, Level.OK), (0, Level.OK), (102_000_000, Level.OK), (103_000_000, Level.WARN), (161_000_000, Level.BAD)],
)
def test_a_record_of_the_future_is_told(at_us: int | None, level: Level) -> None:
    assert needs.newest_record(at_us, 100_000_000).level is level


@pytest.mark.parametrize(
    ("found", "pinned", "level"),
    [
        ("2.10.1", (), Level.OK),
        ("2.9", (), Level.BAD),
        (None, (), Level.BAD),
        ("2.11.0", ("2.11.0", "2.12.0"), Level.OK),
        ("2.13.0", ("2.11.0", "2.12.0"), Level.WARN),
        ("2.10.0rc1", (), Level.OK),
    ],
)
def test_a_package_is_held_against_what_is_asked_and_what_is_locked(
    found: str | None, pinned: tuple[str, ...], level: Level
) -> None:
    assert needs.package("pydantic", found, "2.10", pinned).level is level


def test_what_is_asked_and_what_is_locked_is_read() -> None:
    asked = needs.asked(["numpy>=2.0", "tritonclient[http]>=2.50", 'locust>=2.32; extra == "load"', "plumbline[demo]"])
    assert list(asked) == [("numpy", "2.0"), ("tritonclient", "2.50")]
    text = "numpy==2.4.6 ; python_full_version < '3.12' \\\n    --hash=sha256:00\nnumpy==2.5.5 ; x\nclick==8.3.0 \\\n"
    assert needs.locked(text) == {"numpy": ("2.4.6", "2.5.5"), "click": ("8.3.0",)}


def test_a_table_and_a_variable_that_nobody_reads_are_told() -> None:
    (found,) = names.tables(["service", "monitr"], "plumbline.toml")
    assert (found.level, found.advice) == (Level.BAD, "rename it to [monitor]")
    environment = ["PLUMBLINE_PROT", "PLUMBLINE_PORT", "PLUMBLINE_ADMIN_TOKEN", "PLUMBLINE_MONITOR_PROT", "HOME"]
    assert [one.found for one in names.variables(environment, ["port"])] == ["nobody reads PLUMBLINE_PROT"]
