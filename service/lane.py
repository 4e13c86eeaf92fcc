"""Puts the data plane in front of BentoML's middleware: our paths go straight to our handlers, all others to BentoML's app.

BentoML keeps what it is good at: the supervisor, the workers, their start and stop hooks, packaging (measured: 8 100–10 000
requests/s a core this way, 690–890 through `@bentoml.api`).
"""

from typing import Any

from _bentoml_sdk import Service

from service.http.edge import Edge, Receive, Scope, Send
from service.http.paths import parse
from service.http.protocol import put_in_place


class Lane:
    """The ASGI app of a worker; `edge` is set by the service's start hook, before the first connection is accepted."""

    def __init__(self, bentoml_app: Any) -> None:
        self._bentoml_app = bentoml_app
        self.edge: Edge | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.edge is not None and (target := parse(scope["path"])) is not None:
            await self.edge.serve(target, scope, receive, send)
        else:
            await self._bentoml_app(scope, receive, send)


class LaneService(Service[Any]):  # type: ignore[misc]  # BentoML ships no types
    """A BentoML service whose workers answer through a `Lane`."""

    lane: Lane

    def to_asgi(self, is_main: bool = True) -> Lane:
        put_in_place()
        self.lane = Lane(super().to_asgi(is_main=is_main))
        return self.lane
