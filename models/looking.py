"""How is something waited for of which nobody sends word: a file, a lock, an address, a supervisor in the making?"""

import time
from collections.abc import Callable
from typing import TypeVar

LOOK_EVERY_S = 0.1  # a look costs some 20 µs
T = TypeVar("T")


def look_until(found: Callable[[], T | None], within_s: float) -> T | None:
    """What `found` gives, as soon as it gives something; None where it did not within this time. It looks at least once."""
    end_s = time.monotonic() + within_s
    while (value := found()) is None and time.monotonic() < end_s:
        time.sleep(LOOK_EVERY_S)
    return value
