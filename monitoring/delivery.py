"""What does a receiver's answer mean, and when is an event tried again?

Laws
- Only 2xx is delivery; 3xx is not followed and 410 asks for no more, both keep the event (Standard Webhooks).
- The n-th wait is `first · 2^(n-1)`, at most `longest`, shortened by up to half of it by a jitter that follows from the
  event id and n: two monitors do not march in step, one monitor does the same each time.
- Retry-After lengthens a wait and never shortens it, up to RETRY_AFTER_S_MAX.
"""

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from hashlib import blake2b

RETRY_AFTER_S_MAX = (
    24 * 3600.0
)  # a receiver that asks for more is not taken at its word: an event must not be parked for ever
GONE = 410
_DOUBLINGS_MAX = 30  # beyond it the longest wait has long been reached; keeps the power finite


@dataclass(frozen=True, slots=True)
class Reply:
    """A receiver's answer; `body` is the beginning of what came with a 2xx, `encoding` what it is encoded in although nobody
    asked for that, "" where it is as it is.
    """

    status: int
    retry_after: str | None = None
    body: bytes = b""
    encoding: str = ""


@dataclass(frozen=True, slots=True)
class NoReply:
    """The attempt ended without an answer."""

    reason: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has the event."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """It does not, or may not."""

    wait_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class GoneForGood:
    """The receiver asked for no more events."""

    reason: str


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits between attempts, in seconds."""

    first_s: float
    longest_s: float

    def wait_s(self, event_id: str, attempt: int) -> float:
        """The wait after the attempt of this number, counted from 1."""
        full = min(self.longest_s, self.first_s * 2.0 ** min(attempt - 1, _DOUBLINGS_MAX))
        digest = blake2b(f"{event_id}|{attempt}".encode(), digest_size=8).digest()
        return full * (1 - int.from_bytes(digest, "big") / 2**65)


Outcome = Delivered | TryAgain | GoneForGood


def settle(reply: Reply | NoReply, event_id: str, attempt: int, backoff: Backoff, now: datetime) -> Outcome:
    """What follows from the answer to an attempt; `now` only reads a Retry-After that is a date."""
    wait_s = backoff.wait_s(event_id, attempt)
    match reply:
        case NoReply(reason):
            return TryAgain(wait_s, reason)
        case Reply(status) if 200 <= status < 300:
            return Delivered()
        case Reply(status) if status == GONE:
            return GoneForGood(f"HTTP {status}")
        case Reply(status, retry_after):
            return TryAgain(max(wait_s, _retry_after_s(retry_after, now)), f"HTTP {status}")


def _retry_after_s(text: str | None, now: datetime) -> float:
    """Seconds or an HTTP date; 0 for what is neither: a receiver may write there what it likes."""
    if text is None:
        return 0.0
    if text.strip().isdecimal():
        return min(float(text.strip()[:12]), RETRY_AFTER_S_MAX)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # numbers that no date has room for are the latter
        return 0.0
    if at.tzinfo is None:
        return 0.0
    return min(max(0.0, (at - now).total_seconds()), RETRY_AFTER_S_MAX)
