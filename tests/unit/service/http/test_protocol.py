"""Is our connection the one that uvicorn takes, and does what it uses of uvicorn's still exist?"""

import inspect

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.app import Plumbline
from service.http.protocol import Connection

# What we override or call, as it is today: when uvicorn changes one of these, read its code again.
CYCLE = [
    *("self", "scope", "transport", "flow", "logger", "access_logger", "access_log", "default_headers"),
    *("message_event", "expect_100_continue", "keep_alive", "on_response"),
]
USED = [
    *("_start_asgi_task", "on_headers_complete", "on_message_begin", "on_message_complete", "on_response_complete"),
    *("on_body", "on_header", "on_url", "connection_made", "connection_lost", "data_received", "shutdown"),
]


def test_a_worker_of_bentoml_takes_our_connection() -> None:
    lane = Plumbline.to_asgi()
    config = uvicorn.Config(lane, log_config=None)
    config.load()
    assert config.http_protocol_class is Connection


def test_uvicorn_is_inside_as_it_was_when_this_was_written() -> None:
    assert list(inspect.signature(RequestResponseCycle.__init__).parameters) == CYCLE
    assert all(callable(getattr(HttpToolsProtocol, name)) for name in USED)
