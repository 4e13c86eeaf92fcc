"""How much of a machine do these settings need, and is what it has enough?"""

import re
from collections.abc import Iterable, Iterator

from models.finding import Finding, bad, ok, warn

# Of one worker beside its connections: listeners, log, registry, libraries, and as much again.
SPARE_DESCRIPTORS = 256
STEP_S_MAX = 0.05  # NTP slews by 500 µs a second; more within a look is a step
AHEAD_S_WARN, AHEAD_S_BAD = 2.0, 60.0  # the ledger is written each second; a minute is the monitor's grain
INSTALL = "pip install --require-hashes --no-deps -r requirements.lock"
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*])?>=([0-9.]+)")
_LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def disk(
    free: int, *, log: int, archive: int, log_max: int, archive_max: int, segment: int, reserve: int, workers: int
) -> Finding:
    """Bytes that are free, that log and archive have, and that the settings let them have; 0: no limit."""
    least = workers * (segment + reserve)
    if free < least:
        found, expected = f"{_mib(free)} free", f"{_mib(least)}: a segment and the reserve of each worker"
        return bad("disk", found, expected, "free space, or lower log_segment_bytes_max or workers")
    if log_max == 0 or archive_max == 0:
        name = "log_raw_bytes_max" if log_max == 0 else "archive_bytes_max"
        return warn("disk", f"{_mib(free)} free, {name} = 0", "a limit below that", f"set {name} in plumbline.toml")
    most = max(0, log_max - log) + max(0, archive_max - archive)
    expected = f"{_mib(most)}: what log_raw_bytes_max and archive_bytes_max leave"
    if free < most:
        return warn(
            "disk", f"{_mib(free)} free", expected, "lower archive_bytes_max or log_raw_bytes_max, or add space"
        )
    return ok("disk", f"{_mib(free)} free", expected)


def descriptors(limit: int, connections_max: int) -> Finding:
    """The soft limit of open files against `max_connections`, of which as many again are answered while they are refused."""
    need = 2 * connections_max + SPARE_DESCRIPTORS
    found, expected = f"{limit} open files", f"{need}: twice max_connections, and {SPARE_DESCRIPTORS}"
    advice = f"ulimit -n {need} (systemd: LimitNOFILE={need}), or lower max_connections"
    if limit < connections_max:
        return bad("file descriptors", found, expected, advice)
    return (
        warn("file descriptors", found, expected, advice) if limit < need else ok("file descriptors", found, expected)
    )


def clock_step(before_s: float, after_s: float) -> Finding:
    """Wall clock less monotonic clock, at the beginning of the checks and at their end."""
    step_s = abs(after_s - before_s)
    found, expected = f"the wall clock moved by {step_s:.3f} s against the monotonic one", f"at most {STEP_S_MAX:g} s"
    if step_s > STEP_S_MAX:
        return warn(
            "clock step", found, expected, "let chrony or systemd-timesyncd slew it: timedatectl timesync-status"
        )
    return ok("clock step", found, expected)


def newest_record(at_us: int | None, now_us: int) -> Finding:
    """The time of the newest entry that a writer made by the wall clock."""
    if at_us is None:
        return ok("log time", "no log yet", "no record of the future")
    ahead_s = (at_us - now_us) / 1e6
    if ahead_s <= AHEAD_S_WARN:
        return ok("log time", f"the newest record is {max(0.0, -ahead_s):.0f} s old", "no record of the future")
    found = f"the newest record is {ahead_s:.0f} s in the future"
    advice = "set the clock (timedatectl); windows stay open until it has caught up"
    level = bad if ahead_s > AHEAD_S_BAD else warn
    return level("log time", found, "no record of the future", advice)


def asked(requirements: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Name and least version of what a distribution always needs."""
    for line in requirements:
        if "extra ==" not in line and (found := _REQUIREMENT.match(line)) is not None:
            yield found[1], found[2]


def locked(text: str) -> dict[str, tuple[str, ...]]:
    """Name to versions of a requirements.lock, which may pin another one for each Python."""
    found: dict[str, tuple[str, ...]] = {}
    for name, version in _LOCKED.findall(text):
        found[name.lower()] = (*found.get(name.lower(), ()), version)
    return found


def package(name: str, found: str | None, least: str, pinned: tuple[str, ...]) -> Finding:
    """`found` None: it is not installed; `pinned`: what the lock beside the code says, empty where there is none."""
    expected = f">= {least}" + (f", {' or '.join(pinned)} as locked" if pinned else "")
    if found is None or _numbers(found) < _numbers(least):
        return bad(f"package {name}", "not installed" if found is None else found, expected, INSTALL)
    if pinned and found not in pinned:
        return warn(f"package {name}", found, expected, INSTALL)
    return ok(f"package {name}", found, expected)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[a-z+]", version, maxsplit=1)[0]))


def _mib(n: int) -> str:
    return f"{n >> 20} MiB"
