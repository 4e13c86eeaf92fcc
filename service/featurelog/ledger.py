"""Does the log add up? Walks every segment and holds the records against the writers' own accounts (P3).

Law: for every epoch, the records before an account, with those of segments that were let go, are what the account says; what
stands behind the newest account was written by a writer that died before the next one, and counts as it stands.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from service.featurelog.chunk import Chunk, Run
from service.featurelog.counters import Counts, counts_of
from service.featurelog.epochs import epochs_of
from service.featurelog.floors import archive_of, load_manifest
from service.featurelog.reader import LogReader
from service.featurelog.record import Erased, Ledger, Outcome, Request

RECORDS_A_READ = 10_000


@dataclass(slots=True)
class _Account:
    """One (writer, epoch): what was counted, and what the writer said last."""

    counted: Counter[str] = field(default_factory=Counter)
    said: Ledger | None = None
    at_said: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found; `whole` when nothing is missing, damaged or different."""

    received: int
    outcomes: dict[str, int]
    logged: int
    log_dropped: dict[str, int]
    dropped: dict[str, dict[str, int]]
    gaps: tuple[str, ...]
    corrupt: tuple[str, ...]
    differences: tuple[str, ...]
    since: Counts = field(default_factory=Counter)  # of the epochs that began at a given time or later

    @property
    def answered(self) -> int:
        return self.outcomes[Outcome.ANSWERED]

    @property
    def whole(self) -> bool:
        return not (self.gaps or self.corrupt or self.differences)

    def as_json(self) -> dict[str, Any]:
        """The object of `plumbline log verify --json`."""
        return {
            "received": self.received,
            **self.outcomes,
            "logged": self.logged,
            "log_dropped": self.log_dropped,
            "dropped": self.dropped,
            "gaps": list(self.gaps),
            "corrupt": list(self.corrupt),
            "differences": list(self.differences),
            "ok": self.whole,
        }


def audit(root: Path, since_us: int | None = None) -> Audit:
    """Reads the whole log once; memory does not grow with it. `since_us`: counts the epochs from then on apart."""
    epochs = list(epochs_of(root))
    accounts = _let_go(root)
    gaps: list[str] = []
    corrupt: list[str] = []
    differences: list[str] = []
    for chunk in _chunks(root):
        for run in chunk.runs:
            differences += _count(accounts.setdefault((run.writer, run.epoch), _Account()), run)
        for lost in chunk.lost:
            where = f"{lost.writer} epoch {lost.epoch} segment {lost.number}: {lost.reason}"
            records = "" if lost.records is None else f", {lost.records} records"
            (gaps if lost.reason in ("gap", "segment missing") else corrupt).append(where + records)
    gaps += [f"{one.writer} epoch {one.epoch} {one.cut}" for one in epochs if one.cut]
    found = _sum(accounts, tuple(gaps), tuple(corrupt), tuple(differences))
    if since_us is None:
        return found
    begun = {(one.writer, one.epoch) for one in epochs if one.begun_us >= since_us}
    return replace(found, since=_since(accounts, begun, since_us))


def _since(accounts: dict[tuple[str, int], _Account], begun: set[tuple[str, int]], since_us: int) -> Counts:
    """An epoch whose segments were let go is known by its last account."""
    found: Counts = Counter()
    for key, account in accounts.items():
        if key in begun or (account.said is not None and account.said.at_us >= since_us):
            found += counts_of(account.counted, account.said.dropped if account.said else {})
    return found


def _let_go(root: Path) -> dict[tuple[str, int], _Account]:
    """What stood in segments that were archived and let go, and what their writers said last. Raises ManifestInvalid."""
    found = {}
    for name, archived in load_manifest(archive_of(root)).accounts.items():
        writer, _, epoch = name.partition("/")
        found[writer, int(epoch)] = _Account(Counter(archived.gone), archived.ledger, Counter(archived.gone))
    return found


def _chunks(root: Path) -> Iterator[Chunk]:
    reader = LogReader(root)
    while True:
        chunk = reader.read(RECORDS_A_READ)
        yield chunk
        if chunk.caught_up:
            return


def _count(account: _Account, run: Run) -> list[str]:
    differences = []
    for seq, record in run.records:
        if isinstance(record, Request):
            account.counted[record.outcome] += 1
        elif isinstance(record, Erased):
            account.counted.update([record.outcome] if record.outcome else ())
        elif isinstance(record, Ledger):
            account.said, account.at_said = record, account.counted.copy()
            where = f"{run.writer} epoch {run.epoch} seq {seq}"
            differences += [f"{where}: {what}" for what in _disagreements(record, account.counted)]
    return differences


def _disagreements(said: Ledger, counted: Counter[str]) -> Iterator[str]:
    if said.received != sum(said.outcomes.values()):
        yield f"received {said.received}, but outcomes add up to {sum(said.outcomes.values())}"
    for outcome in Outcome:
        logged, settled = said.logged.get(outcome, 0), said.outcomes.get(outcome, 0)
        dropped = sum(said.dropped.get(outcome, {}).values())
        if settled != logged + dropped:
            yield f"{outcome} {settled}, but logged {logged} and dropped {dropped}"
        if logged != counted[outcome]:
            yield f"{outcome} logged {logged}, found {counted[outcome]}"


def _sum(
    accounts: dict[tuple[str, int], _Account],
    gaps: tuple[str, ...],
    corrupt: tuple[str, ...],
    differences: tuple[str, ...],
) -> Audit:
    counted: Counter[str] = Counter()
    dropped: dict[str, Counter[str]] = {outcome.value: Counter() for outcome in Outcome}
    for account in accounts.values():
        counted += account.counted
        if account.said is not None:
            for outcome, reasons in account.said.dropped.items():
                dropped[outcome].update(reasons)
    outcomes = {outcome.value: counted[outcome] + dropped[outcome].total() for outcome in Outcome}
    lost = {outcome: dict(+reasons) for outcome, reasons in dropped.items()}
    return Audit(
        received=sum(outcomes.values()),
        outcomes=outcomes,
        logged=counted[Outcome.ANSWERED],
        log_dropped=lost[Outcome.ANSWERED],
        dropped=lost,
        gaps=gaps,
        corrupt=corrupt,
        differences=differences,
    )
