"""What is in the archive (FORMAT.md §7.3): the value of `manifest.json` and how each step of a pass changes it; ● no I/O.

Laws
- decode(encode(m)) == m; equal manifests are equal bytes.
- A step gives a new manifest and leaves the old one as it was; what is taken out of `files` or `kept` is added to `let_go` or
  `erased`, or replaced by a file with the same rows.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from models.errors import UNDECODABLE
from service.featurelog.errors import ManifestInvalid
from service.featurelog.record import Ledger

FORMAT = 1
NAME = "manifest.json"
DAMAGES_MAX = 100  # sentences of one account; beyond it they are only counted
ACCOUNTS_MAX = 500  # beyond it those of a writer's epochs whose segments are gone become one, under EARLIER
EARLIER = 0  # no epoch: they begin at 1

Key = tuple[int, int]
"""(epoch, segment number)."""


class ArchiveFile(msgspec.Struct, frozen=True):
    """One Parquet file; `path` below the archive, times of arrival of its first and last row."""

    path: str
    table: str
    rows: int
    bytes: int
    min_at_us: int
    max_at_us: int
    layout: str

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def date(self) -> str:
        return self.folder.rpartition("date=")[2]


class ArchivedSegment(msgspec.Struct, frozen=True):
    """A raw segment that is archived and still there; `max_at_us` is the latest time of a record in it."""

    epoch: int
    number: int
    bytes: int
    next_seq: int
    requests: Mapping[str, int] = {}
    max_at_us: int = 0

    @property
    def key(self) -> Key:
        return (self.epoch, self.number)


class Raw(msgspec.Struct, frozen=True, rename={"begin": "from"}):
    """Of one writer: where its raw segments begin, the seq expected there, those that are archived, and the latest time of a
    record that stood before (`max_at_us`; 0: there was none)."""

    begin: Key = (0, 0)
    seq: int = 0
    max_at_us: int = 0
    kept: tuple[ArchivedSegment, ...] = ()


class Account(msgspec.Struct, frozen=True):
    """What of one writer and epoch was archived."""

    requests: Mapping[str, int] = {}
    shadows: int = 0
    feedback: int = 0
    ledgers: int = 0
    rows: Mapping[str, int] = {}
    segments: int = 0
    bytes: int = 0
    next_seq: int = 0
    lost_records: int = 0
    lost_holes: int = 0
    damages: tuple[str, ...] = ()
    malformed: int = 0
    gone: Mapping[str, int] = {}
    ledger: Ledger | None = None

    def plus(self, other: "Account") -> "Account":
        """Both, `other` being the later one."""
        return Account(
            requests=_sum(self.requests, other.requests),
            shadows=self.shadows + other.shadows,
            feedback=self.feedback + other.feedback,
            ledgers=self.ledgers + other.ledgers,
            rows=_sum(self.rows, other.rows),
            segments=self.segments + other.segments,
            bytes=self.bytes + other.bytes,
            next_seq=other.next_seq,
            lost_records=self.lost_records + other.lost_records,
            lost_holes=self.lost_holes + other.lost_holes,
            damages=(*self.damages, *other.damages)[:DAMAGES_MAX],
            malformed=self.malformed + other.malformed,
            gone=_sum(self.gone, other.gone),
            ledger=other.ledger or self.ledger,
        )


class LetGo(msgspec.Struct, frozen=True):
    """What retention took away, since the archive began."""

    segments: int = 0
    segment_bytes: int = 0
    files: int = 0
    file_bytes: int = 0
    rows: int = 0


class Batch(msgspec.Struct, frozen=True):
    """What archiving consecutive segments of one writer and epoch gave."""

    writer: str
    segments: tuple[ArchivedSegment, ...]
    files: tuple[ArchiveFile, ...]
    account: Account


class Manifest(msgspec.Struct, frozen=True):
    """The whole of it."""

    format: int = FORMAT
    position: Mapping[str, tuple[int, int, int]] = {}
    files: tuple[ArchiveFile, ...] = ()
    raw: Mapping[str, Raw] = {}
    accounts: Mapping[str, Account] = {}
    let_go: LetGo = LetGo()
    erased: Mapping[str, int] = {}

    def encode(self) -> bytes:
        """Indented JSON, keys in order."""
        return msgspec.json.format(msgspec.json.encode(self, order="deterministic"), indent=1) + b"\n"

    @staticmethod
    def decode(data: bytes, place: str) -> "Manifest":
        """Raises ManifestInvalid; `place` is what the error names."""
        try:
            found = msgspec.json.decode(data, type=Manifest)
        except UNDECODABLE as error:
            raise ManifestInvalid(place, str(error), f"a manifest of format {FORMAT}") from error
        if found.format > FORMAT:
            raise ManifestInvalid(place, f"format {found.format}", f"format {FORMAT} or older")
        return found

    def expected_seq(self, writer: str) -> int | None:
        """Of the first record behind the position; None where nothing of that epoch is archived."""
        epoch = self.position.get(writer, (0, 0, 0))[0]
        account = self.accounts.get(account_name(writer, epoch))
        return account.next_seq if account else None

    def with_batch(self, batch: Batch) -> "Manifest":
        """The batch is archived: its files, its account, and the position behind it."""
        last = batch.segments[-1]
        raw = self.raw.get(batch.writer, Raw())
        name = account_name(batch.writer, last.epoch)
        return msgspec.structs.replace(
            self,
            position={**self.position, batch.writer: (last.epoch, last.number + 1, 0)},
            files=_sorted((*self.files, *batch.files)),
            raw={**self.raw, batch.writer: msgspec.structs.replace(raw, kept=(*raw.kept, *batch.segments))},
            accounts=_bounded(
                {**self.accounts, name: self.accounts.get(name, Account()).plus(batch.account)},
                batch.writer,
                raw.begin[0],
            ),
        )

    def with_merge(self, parts: Iterable[ArchiveFile], whole: ArchiveFile) -> "Manifest":
        """One file in place of several with the same rows."""
        gone = {part.path for part in parts}
        kept = (file for file in self.files if file.path not in gone)
        return msgspec.structs.replace(self, files=_sorted((*kept, whole)))

    def with_erased(self, files: Mapping[str, ArchiveFile | None]) -> "Manifest":
        """Files, by path, as they are without rows that were erased; None where no row stays."""
        kept = [files.get(file.path, file) for file in self.files]
        gone = {file.path: files[file.path] for file in self.files if file.path in files}
        rows = Counter(self.erased)
        for file in self.files:
            if file.path in gone:
                left = gone[file.path]
                rows[file.table] += file.rows - (left.rows if left else 0)
        return msgspec.structs.replace(
            self, files=_sorted(file for file in kept if file is not None), erased=dict(sorted(rows.items()))
        )

    def without_files(self, files: Sequence[ArchiveFile]) -> "Manifest":
        """Files that retention takes away."""
        gone = {file.path for file in files}
        let_go = msgspec.structs.replace(
            self.let_go,
            files=self.let_go.files + len(files),
            file_bytes=self.let_go.file_bytes + sum(file.bytes for file in files),
            rows=self.let_go.rows + sum(file.rows for file in files),
        )
        return msgspec.structs.replace(
            self, files=tuple(file for file in self.files if file.path not in gone), let_go=let_go
        )

    def without_segments(self, writer: str, segments: Sequence[ArchivedSegment]) -> "Manifest":
        """The first raw segments of a writer, which retention takes away."""
        raw, accounts = self.raw[writer], dict(self.accounts)
        for segment in segments:
            name = account_name(writer, segment.epoch)
            account = accounts.get(name, Account())
            accounts[name] = msgspec.structs.replace(account, gone=_sum(account.gone, segment.requests))
        last = segments[-1]
        let_go = msgspec.structs.replace(
            self.let_go,
            segments=self.let_go.segments + len(segments),
            segment_bytes=self.let_go.segment_bytes + sum(segment.bytes for segment in segments),
        )
        latest_us = max(raw.max_at_us, *(segment.max_at_us for segment in segments))
        begun = Raw((last.epoch, last.number + 1), last.next_seq, latest_us, raw.kept[len(segments) :])
        return msgspec.structs.replace(self, raw={**self.raw, writer: begun}, accounts=accounts, let_go=let_go)


def account_name(writer: str, epoch: int) -> str:
    """How an account is called."""
    return f"{writer}/{epoch}"


def _bounded(accounts: dict[str, Account], writer: str, first_epoch: int) -> dict[str, Account]:
    """Adds up the oldest epochs of a writer where there are too many accounts."""
    if len(accounts) <= ACCOUNTS_MAX:
        return accounts
    epochs = sorted(int(name.partition("/")[2]) for name in accounts if name.partition("/")[0] == writer)
    earlier = accounts.get(account_name(writer, EARLIER), Account())
    for epoch in epochs:
        if EARLIER < epoch < first_epoch:
            account = accounts.pop(account_name(writer, epoch))
            both = _ledger_of_both(earlier.ledger, account.ledger)
            earlier = msgspec.structs.replace(earlier.plus(account), ledger=both)
    return {**accounts, account_name(writer, EARLIER): earlier}


def _ledger_of_both(one: Ledger | None, other: Ledger | None) -> Ledger | None:
    """What the writers of two epochs said, together."""
    if one is None or other is None:
        return one or other
    reasons = {
        outcome: _sum(one.dropped.get(outcome, {}), other.dropped.get(outcome, {}))
        for outcome in sorted({*one.dropped, *other.dropped})
    }
    received = one.received + other.received
    return Ledger(other.at_us, received, _sum(one.outcomes, other.outcomes), _sum(one.logged, other.logged), reasons)


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    total = Counter(one)
    total.update(other)
    return dict(sorted(total.items()))


def _sorted(files: Iterable[ArchiveFile]) -> tuple[ArchiveFile, ...]:
    return tuple(sorted(files, key=lambda file: file.path))
