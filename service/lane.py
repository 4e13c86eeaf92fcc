"""Puts the data plane in front of BentoML's middleware: every path but BentoML's own goes straight to our handlers.

BentoML keeps what it is good at: the supervisor, the workers, their start and stop hooks, packaging (measured: 8 100–10 000
requests/s a core this way, 690–890 through `@bentoml.api`).
"""

from typing import Any

from _bentoml_sdk import Service

from service.http.admission import Admission
from service.http.admitted import put_in_place
from service.http.edge import Edge, Receive, Scope, Send
from service.http.guard import Guard
from service.http.paths import BENTOML, parse

_READS = frozenset({"GET", "HEAD"})


class Lane:
    """The ASGI app of a worker; what it has comes by `open`, before the first connection is accepted."""

    def __init__(self, bentoml_app: Any) -> None:
        self._bentoml_app = bentoml_app
        self.edge: Edge | None = None
        self.guard: Guard | None = None
        self.admission: Admission | None = None

    def open(self, edge: Edge, admission: Admission, guard: Guard) -> None:
        """From here on connections find what they need."""
        self.edge, self.admission, self.guard = edge, admission, guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.edge is not None:
            target = parse(scope["path"])
            if target is None and scope["method"] not in _READS:  # refused in our words, not in BentoML's
                target = BENTOML[scope["path"]]
            if target is not None:
                await self.edge.serve(target, scope, receive, send)
                return
        await self._bentoml_app(scope, receive, send)


class LaneService(Service[Any]):  # type: ignore[misc]  # BentoML ships no types
    """A BentoML service whose workers answer through a `Lane`."""

    lane: Lane

    def to_asgi(self, is_main: bool = True) -> Lane:
        put_in_place()
        self.lane = Lane(super().to_asgi(is_main=is_main))
        return self.lane
