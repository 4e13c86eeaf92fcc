"""Who waits for the answer: what the connection and the batcher tell each other of one request."""

import asyncio
from typing import Any

from service.errors import RequestError

CALLER = "plumbline.caller"  # key of the ASGI scope


class Caller:
    """One a connection, for the request that is on it now."""

    __slots__ = ("arrived_ns", "refusal", "waiting")

    def __init__(self) -> None:
        self.arrived_ns = 0  # of the monotonic clock, where it had to wait at the door; otherwise 0
        self.refusal: RequestError | None = None  # why it was turned away at the door
        self.waiting: asyncio.Future[Any] | None = (
            None  # where it waits for the runtime; failed when its connection goes
        )
