"""On which address does this worker answer?

The settings may say another one than the socket: `bentoml serve` is told by flags of its own, and a reload reads settings anew
for a socket that stays. What decides whether keys are asked for is the socket.
"""

import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress

_FLAG = "--fd"  # by which BentoML hands a worker the socket that its supervisor listens on


def bound_host(otherwise: str, arguments: Sequence[str] = sys.argv) -> str:
    """The host that the worker's socket is bound to; `otherwise` where it was given none. A socket file is this machine's."""
    with suppress(ValueError, IndexError, OSError):
        descriptor = int(arguments[arguments.index(_FLAG) + 1])
        with socket.socket(fileno=os.dup(descriptor)) as probe:  # which finds out its family by itself
            address = probe.getsockname()
            return str(address[0]) if isinstance(address, tuple) else "localhost"
    return otherwise
