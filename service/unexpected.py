"""How does an error that nobody foresaw stand in the log of the process?

Law: of a version with private features, and where no version is known, it says where it happened and of which type it was,
never its text, which may hold a value.
"""

from traceback import format_tb
from typing import Any

import structlog

from service.served import ServedVersion


def tell(event: str, error: Exception, served: ServedVersion | None, **about: str) -> None:
    """One line with the id, at the border that caught it."""
    structlog.get_logger().error(
        event, **about, **told(error, private=served is None or served.schema.private is not None)
    )


def told(error: Exception, *, private: bool) -> dict[str, Any]:
    """What is said of the error itself."""
    if not private:
        return {"exc_info": error}
    return {"error": type(error).__name__, "at": "".join(format_tb(error.__traceback__))}
