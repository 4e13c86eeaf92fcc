"""How does each receiver fare: attempts, failures, and how many events are in which state?"""

from collections.abc import Mapping

import msgspec


class ReceiverStatus(msgspec.Struct, frozen=True):
    """Attempts, and incidents `refused` because too much waited for it, since the monitor started; `events` by state, of those
    that are kept; `held` and `withheld` by why.
    """

    name: str
    kind: str
    attempts: int = 0
    delivered: int = 0
    failures: int = 0
    refused: int = 0
    last_error: str = ""
    disabled: bool = False
    events: Mapping[str, int] = {}
    held: Mapping[str, int] = {}
    withheld: Mapping[str, int] = {}
