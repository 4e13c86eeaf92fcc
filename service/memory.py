"""When does memory that large bodies took go back to the operating system? Within seconds: glibc is told not to keep it.

By default its threshold for giving a block a mapping of its own rises with the largest block ever freed (to 32 MiB), and twice
as much may stay free at the heap's end: after one body of 16 MiB a worker keeps up to 64 MiB that nobody uses.
"""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
LARGE_BYTES = 1 << 20  # above what requests of a few rows take, so they pay no page faults for it


def give_back_large_blocks() -> bool:
    """For this process from now on; False where the C library is not glibc, whose own ways are then left alone."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES) and mallopt(M_TRIM_THRESHOLD, LARGE_BYTES)
    )


def give_back_holes() -> None:
    """What is free between blocks in use: milliseconds, so after large bodies only."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
