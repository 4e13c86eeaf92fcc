"""At which rate are a service's workers busy for a share of a core's time?

Half of what a closed loop reaches is not half of the capacity: there requests come in company, which costs half of what they
cost alone. Measured at 6 300 requests/s, half of such a peak: the worker was busy for 95 % of the time.
"""

import psutil

from loadtests.drive import Target, drive
from loadtests.open_loop import arrivals
from tests.processes import Process
from tests.workers import workers_of

LOOK_S = 1.0


def rate_for(share: float, target: Target, service: Process, *, near_per_s: float, connections: int) -> float:
    """Requests a second at random times, as a look at `near_per_s` says: what one costs depends on the rate, so look again."""
    before_s = busy_s(service)
    samples = drive(target, arrivals(near_per_s, LOOK_S, seed=0), connections=connections, grace_s=10)
    return share * samples.status.size / (busy_s(service) - before_s)


def busy_s(service: Process) -> float:
    """CPU time of all its workers so far."""
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in workers_of(service))
