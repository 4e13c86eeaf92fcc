"""One system in one round: one start, one question checked, one warm-up, one measurement."""

from loadtests.bench import check, open_load, wrk
from loadtests.bench.report import Measurement
from loadtests.bench.scenarios import Cell, Closed, Open, Scenario
from loadtests.bench.server import SystemUnfit
from loadtests.bench.site import ALL_CORES, LOAD_CORES, SYSTEM_CORES, Site
from loadtests.bench.wires import Probabilities
from loadtests.bench.wrk import Target

WARM_UP_S = 1  # past the first-request costs of every system here
CAPACITY_S = 2  # of closed loop before an open one


def measure(scenario: Scenario, cell: Cell, site: Site, expected: Probabilities, seconds: int) -> Measurement:
    """Raises SystemUnfit where it does not start, answers wrongly, or leaves a closed loop's request unanswered."""
    system_cores, _ = cores(scenario)
    if not cell.system.ready:
        return check.alone(site.model, scenario.rows, cores=system_cores, seconds=seconds, folder=site.folder)[1]
    with site.started(system_cores) as server:
        target = _target(scenario, cell, site, server.url)
        check.answers(cell.name, target, cell.system.ways[cell.form].read, expected)
        wrk.load(target, WARM_UP_S)
        match scenario.load:
            case Closed():
                return _closed(cell, target, seconds)
            case Open():
                return _open(scenario.load, target, seconds)


def cores(scenario: Scenario) -> tuple[str, str]:
    """Of the system and of the load."""
    return (SYSTEM_CORES, LOAD_CORES) if scenario.apart else (ALL_CORES, ALL_CORES)


def load_command(scenario: Scenario, cell: Cell, site: Site, seconds: int) -> list[str]:
    """What loads this cell, for people; nothing where it is no server."""
    if not cell.system.ready:
        return []
    target = _target(scenario, cell, site, "http://127.0.0.1:PORT")
    match scenario.load:
        case Closed():
            return wrk.command(target, seconds)
        case Open(times=times, deadline_ms=deadline_ms):
            rate = f"{times:g}*CAPACITY"
            return open_load.command(target, rate=rate, seconds=seconds, deadline_ms=deadline_ms)


def _target(scenario: Scenario, cell: Cell, site: Site, server_url: str) -> Target:
    way = cell.system.ways[cell.form]
    return Target(
        url=server_url + way.path.format(name=site.model.name),
        request=way.ask(site.model.rows(scenario.rows)),
        rows=scenario.rows,
        connections=scenario.load.connections,
        cores=cores(scenario)[1],
        folder=site.folder,
    )


def _closed(cell: Cell, target: Target, seconds: int) -> Measurement:
    measured = wrk.load(target, seconds)
    if not measured.clean:
        found = f"{measured.refused} refused and {measured.broken} broken of {measured.requests}"
        raise SystemUnfit(cell.name, found, "every request answered", "")
    return measured


def _open(load: Open, target: Target, seconds: int) -> Measurement:
    full = wrk.load(target, CAPACITY_S)
    capacity_per_s = (full.requests - full.refused) * 1e6 / full.duration_us  # what it refused, it had no capacity for
    return open_load.load(
        target, capacity_per_s=capacity_per_s, times=load.times, seconds=seconds, deadline_ms=load.deadline_ms
    )
