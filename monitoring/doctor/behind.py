"""Is the monitor behind the log, and does that matter?

Law: an old checkpoint of a log that nobody writes is no fault, nor is a monitor that does not run where nothing waits.
"""

from models.finding import Finding, bad, ok, warn

CHECK = "checkpoint"
_READ = "a log that is read as it comes"


def behind(
    *, age_s: float | None, waiting_bytes: int, waiting_s: float | None, runs: bool, allowed_s: float
) -> Finding:
    """`age_s` of the checkpoint, None: there is none; `waiting_s`: for how long the oldest unread record waits."""
    shown = "no checkpoint" if age_s is None else f"the checkpoint is {age_s:.0f} s old"
    if waiting_s is None:
        return ok(CHECK, f"{shown}, nothing waits", _READ)
    found = f"{shown}, {waiting_bytes} bytes of the log wait for {waiting_s:.0f} s"
    late = min(waiting_s, waiting_s if age_s is None else age_s) > allowed_s
    if not runs:
        return warn(CHECK, f"{found}, no monitor answers", _READ, "plumbline monitor (it goes on at its checkpoint)")
    if late:
        return bad(
            CHECK, found, f"{_READ}, within {allowed_s:.0f} s", "read the monitor's log for tick errors, restart it"
        )
    return ok(CHECK, found, f"{_READ}, within {allowed_s:.0f} s")
