"""What is a row of the webhook table, and when does it hold?"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.promises.webhooks.receiver import Receiver


@dataclass
class Seen:
    """What came of a row: `incidents` of the log, posts, ids in them, posts that were answered 2xx, events still pending."""

    incidents: int
    posts: int = 0
    ids: int = 0
    taken: int = 0
    pending: int = 0
    broken: list[str] = field(default_factory=list)
    note: str = ""

    def expect(self, holds: bool, what: str) -> None:
        """Whatever else must be so."""
        if not holds:
            self.broken.append(what)

    def count(self, receiver: Receiver) -> None:
        """What P6 says of every receiver: the same id is the same event, and every post is signed."""
        self.posts, self.ids, self.taken = len(receiver.attempts), len(receiver.ids), len(receiver.taken)
        self.expect(receiver.same_bytes(), "an id came with different bytes")
        self.expect(receiver.unverified == 0, f"{receiver.unverified} posts with a wrong signature")


@dataclass(frozen=True)
class Row:
    """`posts` and `pending` are what must be seen; `posts` None: at least one an incident."""

    fault: str
    expected: str
    run: Callable[[Path], Seen]
    posts: int | None = None
    pending: int = 0

    def verdict(self, seen: Seen) -> list[str]:
        """What does not hold; empty: the row does."""
        broken = list(seen.broken)
        if seen.ids != seen.incidents:
            broken.append(f"{seen.ids} ids for {seen.incidents} incidents")
        if self.posts is not None and seen.posts != self.posts:
            broken.append(f"{seen.posts} posts, expected {self.posts}")
        if seen.pending != self.pending:
            broken.append(f"{seen.pending} pending, expected {self.pending}")
        if not self.pending and seen.taken < seen.incidents:
            broken.append(f"{seen.taken} taken of {seen.incidents}")
        return broken
