"""Erases the rows that a clause names from everything below a home, and leaves a receipt.

Order of effects, so that a crash at any border is mended by the same command: the receipt says `begun` → labels and shadow
answers of the matching requests → the requests themselves → `done`. Until the last step of the last request its followers can
be found again by it; each file is replaced in one step.

Laws
- Where nothing matches nothing is changed.
- What could not be reached is named in the receipt and in the answer, never passed over.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from uuid import uuid4

from msgspec.structs import replace as changed

from service.featurelog import erase_segments
from service.featurelog.erase_segments import Named, Rows
from service.featurelog.errors import ErasureBusy, WhereInvalid
from service.featurelog.files import SegmentFile, list_segments, list_writers
from service.featurelog.matching import Matcher
from service.featurelog.reach import Reach, reached
from service.featurelog.receipt import BEGUN, DONE, INCOMPLETE, Changed, Receipt, Receipts, clause_mark, sha256_of
from service.featurelog.record import Request
from service.featurelog.where import identifiers, parse, terms

NEEDLE_BYTES_MIN = 4  # shorter ones are everywhere by chance
SEARCH_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be erased, by whom, under which key."""

    where: str
    model: str | None
    key: bytes
    by: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, and where a receipt says what was done; None where nothing was changed."""

    counts: Mapping[str, int]
    files: int
    missed: tuple[str, ...] = ()
    remains: tuple[str, ...] = ()
    unread_frames: int = 0
    receipt: Path | None = None

    @property
    def found(self) -> int:
        return self.counts.get("requests", 0) + self.counts.get("archived_rows", 0)


Hits = dict[Path, dict[int, tuple[Request, Rows]]]


class Eraser:
    """One erasure in one home."""

    def __init__(self, home: Path, order: Order, *, wait_s: float) -> None:
        """Raises WhereInvalid."""
        self._home, self._order, self._wait_s = home, order, wait_s
        self._matcher = Matcher(parse(order.where), order.key)
        self._receipts = Receipts(home / "receipts")
        self._step: Callable[[str], None] = lambda _: None

    def dry_run(self) -> Report:
        """What an erasure would take now; nothing is changed, and nobody is asked to rotate."""
        found = [(name, one) for name, place in list_writers(self._home / "log") for one in list_segments(place)]
        named, hits, unread = self._find(found)
        followers = sum(self._followers(one.path, named) for _, one in found)
        return Report(self._counts(named, followers), len(hits), unread_frames=unread)

    def run(self) -> Report:
        """Erases. Raises WhereInvalid, ErasureBusy."""
        with self._alone(), reached(self._home / "log", self._wait_s) as reach:
            return self._run(reach)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._receipts.root.mkdir(parents=True, exist_ok=True, mode=0o750)
        with (self._receipts.root / "lock").open("a") as file:
            try:
                flock(file, LOCK_EX | LOCK_NB)
            except BlockingIOError as error:
                raise ErasureBusy(str(self._receipts.root)) from error
            yield

    def _run(self, reach: Reach) -> Report:
        for directory in {segment.path.parent for _, segment in reach.segments}:
            for left in directory.glob(f"*{erase_segments.ASIDE}"):  # of an erasure that was cut short
                left.unlink()
        named, hits, unread = self._find(reach.segments)
        mark = clause_mark(self._order.key, self._order.model, self._order.where)
        receipt = self._receipts.begun(mark)
        missed = tuple(str(path.relative_to(self._home)) for path in reach.missed)
        if receipt is None and not named.ids:
            return Report(self._counts(named, 0), 0, missed, self._remains(), unread)
        receipt = self._begin(receipt, mark, reach, named, hits)
        self._step("begun")
        self._erase(reach, named, hits)
        remains = self._remains()
        receipt = changed(
            receipt,
            state=INCOMPLETE if missed else DONE,
            files={name: changed(one, after=sha256_of(self._home / name)) for name, one in receipt.files.items()},
            missed=missed,
            remains=remains,
            unread_frames=unread,
            finished_at=_now(),
        )
        place = self._receipts.save(receipt)
        return Report(receipt.counts, len(receipt.files), missed, remains, unread, place)

    def _find(self, segments: Sequence[tuple[str, SegmentFile]]) -> tuple[Named, Hits, int]:
        """Which requests match. Raises WhereInvalid, also for a column that is nowhere."""
        named, hits, unread, looked = Named(), Hits(), 0, False
        for writer, segment in segments:
            content = erase_segments.read(segment.path)
            unread += content.unread
            found = erase_segments.matching(content, writer, segment, self._matcher, self._order.model)
            looked = looked or any(isinstance(payload, Request) for _, payload in content.frames)
            if found:
                hits[segment.path] = found
            for record, rows in found.values():
                named.add(record.request_id, rows)
                named.requests += rows is None
                named.rows += record.rows if rows is None else len(rows)
        nowhere = [term.column for term in terms(self._matcher.clause) if term.column not in self._matcher.met]
        if looked and nowhere:
            raise WhereInvalid(f"column {nowhere[0]!r}", "a column that is in the log (dropped features are not)")
        return named, hits, unread

    def _followers(self, path: Path, named: Named) -> int:
        return len(erase_segments.replaced_followers(erase_segments.read(path), named.ids)) if named.ids else 0

    def _counts(self, named: Named, followers: int) -> dict[str, int]:
        return {"requests": len(named.ids), "rows": named.rows, "followers": followers}

    def _begin(self, receipt: Receipt | None, mark: str, reach: Reach, named: Named, hits: Hits) -> Receipt:
        """On disk before anything is changed."""
        followers, paths = 0, set(hits)
        for _, segment in reach.segments:
            if more := self._followers(segment.path, named):
                followers, paths = followers + more, paths | {segment.path}
        paths |= {
            path for _, segment in reach.segments for path in [segment.path.with_name(segment.path.name + ".torn")]
        }
        files = {str(path.relative_to(self._home)): Changed(sha256_of(path)) for path in sorted(paths) if path.exists()}
        receipt = receipt or Receipt(uuid4().hex[:12], _now(), self._order.by, mark)
        before, now = Counter(receipt.counts), Counter(self._counts(named, followers))
        counts = dict(before + now if receipt.state == INCOMPLETE else before | now)  # begun: it counted these too
        receipt = changed(receipt, state=BEGUN, counts=counts, files={**files, **receipt.files})
        self._receipts.save(receipt)
        return receipt

    def _erase(self, reach: Reach, named: Named, hits: Hits) -> None:
        for _, segment in reach.segments:
            content = erase_segments.read(segment.path)
            if changes := erase_segments.replaced_followers(content, named.ids):
                erase_segments.rewrite(segment.path, changes, content.damage)
                self._step("followers")
        for _, segment in reach.segments:
            torn = segment.path.with_name(segment.path.name + ".torn")
            torn.unlink(missing_ok=True)
            content = erase_segments.read(segment.path)
            changes = erase_segments.replaced_requests(content, hits.get(segment.path, {}))
            if erase_segments.rewrite(segment.path, changes, content.damage):
                self._step("requests")

    def _remains(self) -> tuple[str, ...]:
        """The files in which a value still stands that the clause names, where it names nothing but values."""
        literals = [literal.encode() for literal in identifiers(self._matcher.clause) if isinstance(literal, str)]
        needles = [needle for needle in literals if len(needle) >= NEEDLE_BYTES_MIN]
        if not needles:
            return ()
        files = (path for path in sorted(self._home.rglob("*")) if path.is_file())
        return tuple(str(path.relative_to(self._home)) for path in files if _holds(path, needles))


def _holds(path: Path, needles: Sequence[bytes]) -> bool:
    overlap, before = max(map(len, needles)) - 1, b""
    with path.open("rb") as file:
        while part := file.read(SEARCH_BYTES):
            data = before + part
            if any(needle in data for needle in needles):
                return True
            before = data[-overlap:] if overlap else b""
    return False


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
