"""How fast is each core just now? The same arithmetic before and after every round shows what else the machine was doing."""

import os
import time
from hashlib import sha256

BLOCK = bytes(1 << 20)
BLOCKS = 64  # about 50 ms a core: long beside a time slice, short beside a measurement


def cores_mib_per_s() -> list[float]:
    """MiB of SHA-256 a second, for each core this process may use."""
    allowed = os.sched_getaffinity(0)
    try:
        return [_core(core) for core in sorted(allowed)]
    finally:
        os.sched_setaffinity(0, allowed)


def _core(core: int) -> float:
    os.sched_setaffinity(0, {core})
    begun_s = time.monotonic()
    for _ in range(BLOCKS):
        sha256(BLOCK).digest()
    return round(BLOCKS / (time.monotonic() - begun_s), 1)
