"""How often may a token be guessed? A few times in a row, then once in a while, for each address.

Laws
- Who gave TRIES wrong tokens is refused unread, the right one too, until EACH_S went by; then they have one more try.
- Right tokens count for nothing, wrong ones against the address that they came from alone.
- At most ADDRESSES_MAX are remembered; beyond, the one that tried least lately is forgotten.
"""

from dataclasses import dataclass, field

TRIES = 5  # a person who mistypes
EACH_S = 12.0  # five a minute: a token of 128 bits is safe from that, and so is a bad one for years
ADDRESSES_MAX = 1024


@dataclass(slots=True)
class WrongTokens:
    """Times are of a clock that does not go back."""

    _paid_s: dict[str, float] = field(default_factory=dict)  # by address: when all its wrong tokens are forgotten

    def wait_s(self, address: str, now_s: float) -> float:
        """How long until this address may try; 0: now."""
        return max(0.0, self._paid_s.get(address, now_s) - now_s - (TRIES - 1) * EACH_S)

    def wrong(self, address: str, now_s: float) -> None:
        """It gave a wrong one."""
        paid_s = max(self._paid_s.pop(address, now_s), now_s) + EACH_S
        if len(self._paid_s) >= ADDRESSES_MAX:
            del self._paid_s[next(iter(self._paid_s))]
        self._paid_s[address] = paid_s
