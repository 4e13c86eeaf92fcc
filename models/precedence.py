"""Puts a process, or a thread, behind those that serve.

Linux may group processes by session (autogroup): a nice value then counts within its session only, and each worker of the
service is a session of its own. What a worker starts is nice towards that worker, and the equal of all others on the core.
Measured as the wait of a process that wakes beside one that computes, p99: 4.6 ms beside another session, whatever its nice
value; 0.15 ms beside a session of nice 10, as beside nobody.

Not SCHED_IDLE: on a machine without idle time it never ends.
"""

import ctypes
import os
import platform
import struct
import sys
import threading
from contextlib import suppress
from pathlib import Path

# A sixth of a core that somebody else wants too: a trial of 0.4 s of CPU time ends within seconds there. The scheduler lets who
# wakes in before who has had more than its part; at a weight of 215 of 1024 that is so while others use up to 83 % of the core
# ((1 - u) · 1024 / 215 > u). At 10 steps it were 90 %, but beside 15 busy sessions a start took half a minute for its trial.
STEPS_BACK = 7
NICE_MAX = 19

# Linux lets who runs end its slice before somebody who wakes has his turn: 3 ms, or what the process says since Linux 6.12.
SLICE_NS = 100_000
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}  # the number of the call, which the C library has no name for
# sched_attr, version 0: size, policy, flags, nice, priority, runtime, deadline, period
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")


def step_back(pid: int) -> None:
    """A process that was started with a session of its own gets what nobody else wants, from now on, in slices of SLICE_NS.

    Measured as p99 of two processes that want 70 % of the core, beside one that computes: × 1.2, and × 1.9 at STEPS_BACK in
    whole slices. Where the machine has no time left it would never end: `step_up`. Where the system has no such thing nothing
    happens.
    """
    if sys.platform != "linux":
        return
    # it has ended; or another session was put back within the same 100 ms, as this user may not do
    with suppress(OSError):
        _set_back(pid, STEPS_BACK)
        _group(pid).write_text(str(NICE_MAX), encoding="ascii")


def step_up(pid: int) -> None:
    """One that was put back gets STEPS_BACK of its part of a core that others want too: it waited long enough."""
    if sys.platform != "linux":
        return
    with suppress(OSError):
        _group(pid).write_text(str(min(NICE_MAX, group_nice(os.getpid()) + STEPS_BACK)), encoding="ascii")


def step_back_here(steps: int) -> None:
    """The calling thread, by so many steps of niceness within its session, and in slices of SLICE_NS."""
    if sys.platform != "linux":  # elsewhere a thread is no process of that number
        return
    with suppress(OSError):
        _set_back(threading.get_native_id(), steps)


def _set_back(thread: int, steps: int) -> None:
    """So far behind this process, and no less than it is already: who was started by one that stands behind begins there."""
    nice = max(
        os.getpriority(os.PRIO_PROCESS, thread), min(NICE_MAX, os.getpriority(os.PRIO_PROCESS, os.getpid()) + steps)
    )
    os.setpriority(os.PRIO_PROCESS, thread, nice)
    os.sched_setscheduler(thread, os.SCHED_BATCH, os.sched_param(0))  # when it wakes it interrupts nobody
    if (call := _SCHED_SETATTR.get(platform.machine())) is not None:  # an older kernel looks at the nice value alone
        told = _ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_BATCH, 0, nice, 0, SLICE_NS, 0, 0)
        ctypes.CDLL(None).syscall(call, thread, told, 0)


def group_nice(pid: int) -> int:
    """Of its session; 0 where sessions are no groups."""
    try:
        return int(_group(pid).read_text(encoding="ascii").rsplit(" ", 1)[1])
    except (OSError, IndexError, ValueError):
        return 0


def _group(pid: int) -> Path:
    return Path(f"/proc/{pid}/autogroup")
