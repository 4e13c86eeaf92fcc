"""What does a connection tell those who decide over it, and they to its client?"""

from enum import IntEnum

CLOSE = (b"connection", b"close")  # among the default headers while the worker drains


class Stage(IntEnum):
    """Where a connection is."""

    HEAD = 0  # before the first request, or in the middle of a head
    BODY = 1
    WORK = 2  # the request is whole, its answer is not
    IDLE = 3  # answered; the next request may come
    LINGER = 4  # told that it will be closed; what it still sends is thrown away
