"""Erases the rows that a clause names from everything below a home, and leaves a receipt.

Order of effects, so that a crash at any border is mended by the same command: the receipt says `begun` → labels and shadow
answers of the matching requests → the requests themselves → `done`. Until the last step of the last request its followers can
be found again by it; each file is replaced in one step.

Laws
- Where nothing matches nothing is changed.
- What could not be reached is named in the receipt and in the answer, never passed over.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from uuid import uuid4

import msgspec
from msgspec.structs import replace as changed

from models.disk import Disk
from models.looking import look_until
from service.featurelog import erase_segments
from service.featurelog.archive_files import ArchiveFiles
from service.featurelog.erase_archive import ArchiveEraser
from service.featurelog.erase_segments import Named, Rows
from service.featurelog.errors import ErasureBusy, PassRunning, WhereInvalid
from service.featurelog.files import SegmentFile, list_segments, list_writers
from service.featurelog.matching import Matcher
from service.featurelog.reach import Reach, reached
from service.featurelog.receipt import BEGUN, DONE, INCOMPLETE, Changed, Receipt, Receipts, clause_mark, sha256_of
from service.featurelog.record import Feedback, Request, Shadow
from service.featurelog.where import identifiers, parse, terms

NEEDLE_BYTES_MIN = 4  # shorter ones are everywhere by chance
SEARCH_BYTES = 1 << 20
HEAD_BYTES_MAX = 5  # of a text in MessagePack


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


Segments = Sequence[tuple[str, SegmentFile]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to go: requests by id and, by segment, by frame; followers by segment; rows by file of the archive; stretches of
    segments that are no frames."""

    named: Named
    requests: Mapping[Path, Mapping[int, tuple[Request, Rows]]]
    followers: Mapping[Path, int]
    archived: Mapping[str, int]
    archived_followers: Mapping[str, int]
    damage: Mapping[Path, list[tuple[int, int]]]
    unread: int

    @property
    def counts(self) -> dict[str, int]:
        return {
            "requests": len(self.named.ids),
            "rows": self.named.rows,
            "followers": sum(self.followers.values()),
            "archived_rows": sum(self.archived.values()),
            "archived_followers": sum(self.archived_followers.values()),
        }

    def files(self, archive: Path) -> set[Path]:
        """All that would be written again."""
        sealed = {archive / name for name in {*self.archived, *self.archived_followers}}
        return {*self.requests, *self.followers, *sealed}


class Eraser:
    """One erasure in one home."""

    def __init__(self, home: Path, order: Order, *, wait_s: float, disk: Disk | None = None) -> None:
        """`disk` is how the log and the archive are changed. Raises WhereInvalid."""
        self._home, self._order, self._wait_s = home, order, wait_s
        self._matcher = Matcher(parse(order.where), order.key)
        self._receipts = Receipts(home / "receipts")
        self._disk = disk or Disk()
        self._files = ArchiveFiles(home / "archive", self._disk)
        self._step: Callable[[str], None] = lambda _: None

    def dry_run(self) -> Report:
        """What an erasure would take now; nothing is changed, and nobody is asked to rotate."""
        segments = [(name, one) for name, place in list_writers(self._home / "log") for one in list_segments(place)]
        plan = self._plan(segments, self._archive())
        return Report(plan.counts, len(plan.files(self._files.root)), unread_frames=plan.unread)

    def run(self) -> Report:
        """Erases. Raises WhereInvalid, ErasureBusy, PassRunning."""
        with self._alone(), self._archive_held(), reached(self._home / "log", self._wait_s) as reach:
            return self._run(reach)

    def _archive(self) -> ArchiveEraser:
        return ArchiveEraser(self._files, self._matcher, self._order.model)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._receipts.root.mkdir(parents=True, exist_ok=True, mode=0o750)
        with (self._receipts.root / "lock").open("a") as file:
            try:
                flock(file, LOCK_EX | LOCK_NB)
            except BlockingIOError as error:
                raise ErasureBusy(str(self._receipts.root)) from error
            yield

    @contextmanager
    def _archive_held(self) -> Iterator[None]:
        """Waits for a pass that runs."""
        with ExitStack() as held:

            def hold() -> bool | None:
                with suppress(PassRunning):
                    held.enter_context(self._files.locked())
                    return True
                return None

            if look_until(hold, self._wait_s) is None:
                raise PassRunning(str(self._files.root))
            yield

    def _run(self, reach: Reach) -> Report:
        archive = self._archive()
        self._tidy(reach, archive)
        mark = clause_mark(self._order.key, self._order.model, self._order.where)
        receipt = self._receipts.begun(mark)
        plan = self._plan(reach.segments, archive, finishing=receipt is not None)
        missed = tuple(str(path.relative_to(self._home)) for path in reach.missed)
        missed += tuple(f"archive/{name}" for name in sorted(archive.damaged))
        if receipt is None and not plan.named.ids:
            return Report(plan.counts, 0, missed, self._remains(), plan.unread)
        receipt = self._begin(receipt, mark, reach, plan)
        self._step("begun")
        self._erase(reach, plan, archive)
        remains = self._remains()
        receipt = changed(
            receipt,
            state=INCOMPLETE if missed else DONE,
            files=self._afterwards(receipt, archive),
            missed=missed,
            remains=remains,
            unread_frames=plan.unread,
            finished_at=_now(),
        )
        place = self._receipts.save(receipt)
        return Report(receipt.counts, len(receipt.files), missed, remains, plan.unread, place)

    def _afterwards(self, receipt: Receipt, archive: ArchiveEraser) -> dict[str, Changed]:
        """The files of the receipt as they are now, and those that took the place of others."""
        files = {name: changed(one, after=sha256_of(self._home / name)) for name, one in receipt.files.items()}
        new = [f"archive/{name}" for name in archive.written if (self._home / "archive" / name).exists()]
        return files | {name: Changed("", sha256_of(self._home / name)) for name in new}

    def _tidy(self, reach: Reach, archive: ArchiveEraser) -> None:
        """Takes away what an erasure or a pass that was cut short left beside its work."""
        for directory in {segment.path.parent for _, segment in reach.segments}:
            for left in directory.glob(f"*{erase_segments.ASIDE}"):
                left.unlink()
        archive.sweep()

    def _plan(self, segments: Segments, archive: ArchiveEraser, *, finishing: bool = False) -> Plan:
        """Everything that the clause names. Raises WhereInvalid, also for a column that is nowhere."""
        named, requests, damage, unread, looked = Named(), {}, {}, 0, False
        with_followers: list[Path] = []
        for writer, segment in segments:
            content = erase_segments.read(segment.path)
            unread += content.unread
            if content.damage:
                damage[segment.path] = content.damage
            if any(isinstance(payload, Feedback | Shadow) for _, payload in content.frames):
                with_followers.append(segment.path)
            found = erase_segments.matching(content, writer, segment, self._matcher, self._order.model)
            looked = looked or any(isinstance(payload, Request) for _, payload in content.frames)
            if found:
                requests[segment.path] = found
            for record, rows in found.values():
                named.add(record.request_id, rows)
                named.rows += record.rows if rows is None else len(rows)
        archived = archive.find(named)
        nowhere = [term.column for term in terms(self._matcher.clause) if term.column not in self._matcher.met]
        if (looked or archive.looked) and nowhere and not finishing:
            raise WhereInvalid(f"column {nowhere[0]!r}", "a column that is in the log (dropped features are not)")
        counted = {path: self._followers(path, named) for path in with_followers if named.ids}
        followers = {path: n for path, n in counted.items() if n}
        return Plan(named, requests, followers, archived, archive.followers(named.ids), damage, unread)

    def _followers(self, path: Path, named: Named) -> int:
        return len(erase_segments.replaced_followers(erase_segments.read(path), named.ids))

    def _begin(self, receipt: Receipt | None, mark: str, reach: Reach, plan: Plan) -> Receipt:
        """On disk before anything is changed."""
        torn = {_torn(segment.path) for _, segment in reach.segments}
        paths = sorted(path for path in plan.files(self._files.root) | torn if path.exists())
        files = {str(path.relative_to(self._home)): Changed(sha256_of(path)) for path in paths}
        receipt = receipt or Receipt(uuid4().hex[:12], _now(), self._order.by, mark)
        before, now = Counter(receipt.counts), Counter(plan.counts)
        counts = before + now if receipt.state == INCOMPLETE else before | now  # begun: it counted these too
        receipt = changed(
            receipt, state=BEGUN, counts={name: counts[name] for name in now}, files={**files, **receipt.files}
        )
        self._receipts.save(receipt)
        return receipt

    def _erase(self, reach: Reach, plan: Plan, archive: ArchiveEraser) -> None:
        """Followers before requests, by which they are found."""
        for path in plan.followers:
            content = erase_segments.read(path)
            changes = erase_segments.replaced_followers(content, plan.named.ids)
            erase_segments.rewrite(path, changes, content.damage, self._disk)
            self._step("followers")
        archive.erase_followers(plan.archived_followers, plan.named.ids)
        self._step("archived followers")
        for _, segment in reach.segments:
            self._disk.unlink(_torn(segment.path))
            if segment.path in plan.requests or segment.path in plan.damage:
                content = erase_segments.read(segment.path)
                changes = erase_segments.replaced_requests(content, plan.requests.get(segment.path, {}))
                if erase_segments.rewrite(segment.path, changes, content.damage, self._disk):
                    self._step("requests")
        archive.erase_requests(plan.archived)
        self._step("archived requests")

    def _remains(self) -> tuple[str, ...]:
        """The files in which a value still stands that the clause names, where it names nothing but values."""
        literals = [literal.encode() for literal in identifiers(self._matcher.clause) if isinstance(literal, str)]
        needles = [needle for needle in literals if len(needle) >= NEEDLE_BYTES_MIN]
        if not needles:
            return ()
        values = re.compile(b"|".join(_value(needle) for needle in needles))
        overlap = max(map(len, needles)) + HEAD_BYTES_MAX + 1
        files = (path for path in sorted(self._home.rglob("*")) if path.is_file())
        return tuple(str(path.relative_to(self._home)) for path in files if _holds(path, values, overlap))


def _torn(segment: Path) -> Path:
    return segment.with_name(f"{segment.name}.torn")


def _value(text: bytes) -> bytes:
    """A pattern of the text as a value of its own: after its length in MessagePack, or no part of a longer word."""
    head = msgspec.msgpack.encode(text.decode())[: -len(text)]
    return rb"%b%b|(?<![\w-])%b(?![\w-])" % (re.escape(head), re.escape(text), re.escape(text))


def _holds(path: Path, values: re.Pattern[bytes], overlap: int) -> bool:
    """A part at a time; what touches the end of a part is looked at with the next one, where it has both neighbours."""
    before = b""
    with path.open("rb") as file:
        while True:
            part = file.read(SEARCH_BYTES)
            data, last = before + part, len(part) < SEARCH_BYTES
            begun = 1 if len(before) else 0  # the first byte of an overlap is only a neighbour
            if any(found.end() < len(data) or last for found in values.finditer(data, begun)):
                return True
            if last:
                return False
            before = data[-overlap:]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
