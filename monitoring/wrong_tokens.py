"""How often may a token be guessed? A few times, then once in a while, for each address.

Laws
- Who gave TRIES wrong tokens is refused unread, the right one too, until EACH_S went by; then they have one more try.
- The same wrong token again is no guess and costs nothing, as long as it is among the newest TRIES of its address: a script
  that was forgotten with an old token closes no address to those behind it.
- Right tokens count for nothing, wrong ones against the address that they came from alone.
- At most ADDRESSES_MAX are remembered; beyond, the one that tried least lately is forgotten. Of a token its digest is kept.
"""

from dataclasses import dataclass, field
from hashlib import sha256

TRIES = 5  # a person who mistypes
EACH_S = 12.0  # five a minute: a token of 128 bits is safe from that, and so is a bad one for years
ADDRESSES_MAX = 1024


@dataclass(frozen=True, slots=True)
class _Tried:
    """Of one address: when all its wrong tokens are paid for, and the digests of the newest of them, the newest last."""

    paid_s: float
    digests: tuple[bytes, ...] = ()


@dataclass(slots=True)
class WrongTokens:
    """Times are of a clock that does not go back."""

    _tried: dict[str, _Tried] = field(default_factory=dict)  # by address, the one that tried last at the end

    def wait_s(self, address: str, now_s: float) -> float:
        """How long until this address may try; 0: now."""
        tried = self._tried.get(address)
        return 0.0 if tried is None else max(0.0, tried.paid_s - now_s - (TRIES - 1) * EACH_S)

    def wrong(self, address: str, token: bytes, now_s: float) -> None:
        """It gave this wrong one."""
        tried, digest = self._tried.pop(address, _Tried(now_s)), sha256(token).digest()
        others = tuple(one for one in tried.digests if one != digest)
        again = len(others) < len(tried.digests)
        paid_s = tried.paid_s if again else max(tried.paid_s, now_s) + EACH_S
        if len(self._tried) >= ADDRESSES_MAX:
            del self._tried[next(iter(self._tried))]
        self._tried[address] = _Tried(paid_s, (*others, digest)[-TRIES:])
