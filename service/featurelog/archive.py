"""One pass of the archive: sealed segments → Parquet → manifest, then merges, then retention (FORMAT.md §7.4, §7.5).

Laws
- The manifest's rename is the commit: a crash before it leaves the archive as it was, one after it is finished by the next
  pass. No row is lost and none is there twice.
- What is damaged in a segment is noted in the account of its writer and epoch; the rest of it is archived.
- Memory is bounded by what one read, one row group a folder and BUFFERED_BYTES_MAX hold, whatever waits.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path

import msgspec

from service.featurelog.archive_files import ArchiveFiles
from service.featurelog.archive_plan import Keep, RawSegment, batches, files_to_let_go, merges, segments_to_let_go
from service.featurelog.archive_rows import BatchFiles
from service.featurelog.chunk import Chunk, Positions
from service.featurelog.columns import parts
from service.featurelog.errors import ArchiveDamaged
from service.featurelog.files import list_segments, list_writers
from service.featurelog.manifest import Account, ArchivedSegment, ArchiveFile, Batch, Manifest
from service.featurelog.reader import LogReader
from service.featurelog.record import Erased, Feedback, Ledger, PartShadow, Request, Shadow
from service.featurelog.sealed import sealed_of, segments_of

RECORDS_A_READ = 8192
MERGE_BYTES_A_PASS = 512 << 20  # a pass ends; what is left is merged by the next


@dataclass(frozen=True, slots=True)
class Report:
    """What a pass did."""

    segments: int = 0
    segment_bytes: int = 0
    records: int = 0
    rows: int = 0
    files: int = 0
    file_bytes: int = 0
    lost_records: int = 0
    lost_holes: int = 0
    malformed: int = 0
    merged: int = 0
    swept: int = 0
    let_go_segments: int = 0
    let_go_files: int = 0
    damaged: tuple[str, ...] = ()


class Archiver:
    """Passes over one home's log. `keep_from`: up to where the other reader has saved what it read; None: nobody else reads."""

    def __init__(self, log_root: Path, files: ArchiveFiles, *, keep: Keep, keep_from: Positions | None) -> None:
        self._log_root, self._files, self._keep, self._keep_from = log_root, files, keep, keep_from

    def run(self, now_us: int) -> Report:
        """One pass. Raises PassRunning, ManifestInvalid, and OSError where the disk refuses; what was committed stays."""
        with self._files.locked():
            manifest = self._files.load()
            report = Report(swept=self._files.sweep(manifest) + self._sweep_raw(manifest))
            manifest, report = self._archive(manifest, report)
            manifest, report = self._merge(manifest, report)
            return self._let_go(manifest, report, now_us)

    # --- archiving ------------------------------------------------------------------------------------------------

    def _archive(self, manifest: Manifest, report: Report) -> tuple[Manifest, Report]:
        for writer, sealed in sealed_of(self._log_root).items():
            for segments in batches(sealed, manifest.position.get(writer, (0, 0, 0))):
                batch = self._batch(manifest, writer, segments)
                self._files.sync_folders(file.path for file in batch.files)
                manifest = manifest.with_batch(batch)
                self._files.commit(manifest)
                report = _with_batch(report, batch)
        return manifest, report

    def _batch(self, manifest: Manifest, writer: str, segments: Sequence[RawSegment]) -> Batch:
        """Writes the files of these segments; nothing of them is in the archive until the manifest says so."""
        until, position, seq = {writer: (0, 0)}, manifest.position.get(writer), manifest.expected_seq(writer)
        reader = LogReader(
            self._log_root,
            {} if position is None else {writer: position},
            until=until,
            seqs={} if seq is None else {writer: seq},
        )
        first, last = segments[0], segments[-1]
        rows = BatchFiles(self._files, f"{writer}-{first.epoch:08d}-{first.number:08d}-{last.number:08d}")
        account, archived = Account(next_seq=seq or 0), []
        try:
            for segment in segments:
                until[writer] = segment.key
                one, max_at_us = _read_segment(reader, rows, segment)
                account = account.plus(msgspec.structs.replace(one, next_seq=reader.next_seq(writer) or one.next_seq))
                kept = (segment.epoch, segment.number, segment.bytes, account.next_seq, one.requests, max_at_us)
                archived.append(ArchivedSegment(*kept))
            return Batch(writer, tuple(archived), rows.finish(), account)
        except BaseException:
            rows.abandon()
            raise

    # --- merging --------------------------------------------------------------------------------------------------

    def _merge(self, manifest: Manifest, report: Report) -> tuple[Manifest, Report]:
        written = 0
        for some in merges(manifest.files):
            if written > MERGE_BYTES_A_PASS:
                break
            try:
                whole = self._merged(some)
            except (
                ArchiveDamaged
            ) as error:  # its neighbours stay as they are, and it is named in every report until it is mended
                report = replace(report, damaged=(*report.damaged, str(error)))
                continue
            self._files.sync_folders([whole.path])
            manifest = manifest.with_merge(some, whole)
            self._files.commit(manifest)
            for part in some:
                self._files.unlink(self._files.root / part.path)
            written += whole.bytes
            report = replace(report, merged=report.merged + len(some))
        return manifest, report

    def _merged(self, some: Sequence[ArchiveFile]) -> ArchiveFile:
        """One file with the rows of all, in their order."""
        name = blake2b("\n".join(part.path for part in some).encode(), digest_size=8).hexdigest()
        rows = BatchFiles(self._files, f"merged-{name}", layout=some[0].layout)
        try:
            for part in some:
                for table in self._files.tables(part):
                    rows.add(part.folder, part.table, table)
            (whole,) = rows.finish()
            return whole
        except BaseException:
            rows.abandon()
            raise

    # --- retention ------------------------------------------------------------------------------------------------

    def _let_go(self, manifest: Manifest, report: Report, now_us: int) -> Report:
        files = files_to_let_go(manifest.files, self._keep, _first_day(self._keep, now_us))
        present = segments_of(self._log_root)
        segments = segments_to_let_go(manifest, present, self._keep, self._keep_from, now_us)
        if not files and not segments:
            return report
        manifest = manifest.without_files(files)
        for writer, some in segments.items():
            manifest = manifest.without_segments(writer, some)
        self._files.commit(manifest)
        for file in files:
            self._files.unlink(self._files.root / file.path)
        self._files.remove_empty_folders(file.folder for file in files)
        self._sweep_raw(manifest)
        return replace(report, let_go_segments=sum(map(len, segments.values())), let_go_files=len(files))

    def _sweep_raw(self, manifest: Manifest) -> int:
        """Takes away raw segments that the manifest has let go, and what was cut from them; returns how many."""
        swept = 0
        for writer, directory in list_writers(self._log_root):
            raw = manifest.raw.get(writer)
            for segment in list_segments(directory):
                if raw is None or segment.key >= raw.begin:
                    break
                self._files.unlink(segment.path.with_suffix(f"{segment.path.suffix}.torn"))
                self._files.unlink(segment.path)
                swept += 1
        return swept


def _read_segment(reader: LogReader, rows: BatchFiles, segment: RawSegment) -> tuple[Account, int]:
    """Everything up to the end of the segment, into the files; what was counted and found damaged on the way, and the latest
    time of a record, 0 where there is none.
    """
    account, max_at_us = Account(segments=1, bytes=segment.bytes), 0
    while True:
        chunk = reader.read(RECORDS_A_READ)
        malformed, added = 0, Counter[str]()
        for run in chunk.runs:
            for part in parts(run):
                rows.add_part(part)
                malformed += part.malformed
                added[part.table] += part.rows.num_rows
        account = account.plus(_account(chunk, malformed, added))
        max_at_us = max([max_at_us, *(record.at_us for run in chunk.runs for _, record in run.records)])
        if chunk.caught_up:
            return account, max_at_us


def _account(chunk: Chunk, malformed: int, added: Counter[str]) -> Account:
    records = [record for run in chunk.runs for _, record in run.records]
    ledgers = [record for record in records if isinstance(record, Ledger)]
    kinds = Counter(type(record) for record in records)
    return Account(
        requests=Counter(str(r.outcome) for r in records if isinstance(r, Request | Erased) and r.outcome),
        shadows=kinds[Shadow] + kinds[PartShadow],
        feedback=kinds[Feedback],
        ledgers=len(ledgers),
        rows=added,
        next_seq=chunk.runs[-1].records[-1][0] + 1 if chunk.runs else 0,
        lost_records=sum(lost.records or 0 for lost in chunk.lost),
        lost_holes=sum(lost.records is None for lost in chunk.lost),
        damages=tuple(f"{lost.writer} epoch {lost.epoch} segment {lost.number}: {lost.reason}" for lost in chunk.lost),
        malformed=malformed,
        ledger=ledgers[-1] if ledgers else None,
    )


def _with_batch(report: Report, batch: Batch) -> Report:
    account = batch.account
    return replace(
        report,
        segments=report.segments + account.segments,
        segment_bytes=report.segment_bytes + account.bytes,
        records=report.records + sum(account.requests.values()) + account.shadows + account.feedback + account.ledgers,
        rows=report.rows + sum(account.rows.values()),
        files=report.files + len(batch.files),
        file_bytes=report.file_bytes + sum(file.bytes for file in batch.files),
        lost_records=report.lost_records + account.lost_records,
        lost_holes=report.lost_holes + account.lost_holes,
        malformed=report.malformed + account.malformed,
    )


def _first_day(keep: Keep, now_us: int) -> str:
    """The first day that is kept by age; "" is before every day."""
    if not keep.archive_days:
        return ""
    return str((datetime.fromtimestamp(now_us / 1e6, UTC) - timedelta(days=keep.archive_days)).date())
