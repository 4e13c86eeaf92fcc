"""How does an error that is the service's own stand in the log of the process?

Law: of a version with private features, and where no version is known, it says where it happened and of which type it was,
never its text, which may hold a value.
"""

import asyncio
from collections.abc import Mapping
from traceback import format_tb
from typing import Any

import structlog

from service.errors import Failed
from service.served import ServedVersion


def tell(event: str, error: BaseException, served: ServedVersion | None, **about: str) -> None:
    """One line with the id, at the border that caught it."""
    structlog.get_logger().error(event, **about, **told(error, private=_private(served)))


def tell_failed(event: str, error: Failed, served: ServedVersion | None, **about: str) -> None:
    """One line with the id about a failure that was foreseen: its word, and its sentence in place of a trace."""
    reason = {} if _private(served) else {"reason": str(error)}
    structlog.get_logger().error(event, **about, code=error.code, **reason)


def tell_loop(_: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """The event loop's handler of what no task and no request caught. Its own message would show arguments, rows among them."""
    error = context.get("exception")
    if error is None:
        structlog.get_logger().error("loop.failed", message=context["message"])
    else:
        tell("loop.failed", error, None)


def _private(served: ServedVersion | None) -> bool:
    return served is None or served.schema.private is not None


def told(error: BaseException, *, private: bool) -> dict[str, Any]:
    """What is said of the error itself."""
    if not private:
        return {"exc_info": error}
    return {"error": type(error).__name__, "at": "".join(format_tb(error.__traceback__))}
