"""What a worker's connections speak: uvicorn's httptools protocol, with answers that leave in one write.

It is put in place by name (`HTTP_PROTOCOLS["auto"]`), because BentoML builds uvicorn's configuration itself.
"""

import asyncio
from typing import Any
from urllib.parse import unquote

import httptools
import uvicorn.config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service.http.cycle import Cycle


class Connection(HttpToolsProtocol):
    """One connection of a client."""

    def __init__(
        self,
        config: uvicorn.config.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # not `loaded_app`: nothing here asks who the client is, and the middleware for x-forwarded-for costs every request
        self.app: Any = config.app

    def on_headers_complete(self) -> None:
        """A request's head is there: its application is started, or waits for the answer before it."""
        parser, scope = self.parser, self.scope
        version = parser.get_http_version()
        scope["method"] = parser.get_method().decode("ascii")
        if version != "1.1":
            scope["http_version"] = version
        url = httptools.parse_url(self.url)
        scope["raw_path"] = raw_path = url.path
        path = raw_path.decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["query_string"] = url.query or b""
        before, self.cycle = self.cycle, self._cycle(version != "1.0" and parser.should_keep_alive())
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _cycle(self, keep_alive: bool) -> Cycle:
        return Cycle(
            self.scope,
            self.transport,
            self.flow,
            self.logger,
            self.access_logger,
            self.access_log,
            self.server_state.default_headers,
            asyncio.Event(),
            self.expect_100_continue,
            keep_alive,
            self.on_response_complete,
        )

    def _should_upgrade(self) -> bool:
        """Nothing here speaks anything but HTTP; an offer to upgrade may be passed over (RFC 9110 §7.8)."""
        return False


def put_in_place() -> None:
    """Every uvicorn configuration of this process that chooses its protocol by itself now chooses this one."""
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{Connection.__module__}:{Connection.__qualname__}"
