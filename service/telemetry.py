"""Every Prometheus instrument of the server; the only file that imports prometheus_client.

Requests are added up in plain Python and published every few milliseconds, not with each answer: one update of the
shared memory of BentoML's multiprocess mode costs as much as decoding a row.

Laws
- Labels come from loaded models, fixed words and the table of error codes only: unknown names are the label "".
- A gauge is of the workers that live, also where one was killed.
- After every `publish`: plumbline_requests_received_total = Σ plumbline_requests_total over its outcomes.
"""

import os
from bisect import bisect_left
from collections import Counter as Sums
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from service.featurelog.record import Request

LATENCY_BUCKETS_S = (
    0.0001, 0.0002, 0.0003, 0.0005, 0.00075, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075,
    0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0,
)  # fmt: skip
BATCH_ROWS_BUCKETS = tuple(2.0**power for power in range(15))  # to 16 384: a joined run of the largest setting in use
_BUCKETS_US = tuple(round(bound_s * 1e6) for bound_s in LATENCY_BUCKETS_S)
_DURATIONS = {
    "request_duration": "Arrival until the record was made.",
    "request_queue": "Waiting for the runtime.",
    "request_compute": "In the runtime.",
}
CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()

_Arm = tuple[str, str, str]  # model, version, arm


class _Answers:
    """What one arm answered since the last publish: rows, and a histogram's increments for each duration."""

    __slots__ = ("computes", "into", "queues", "rows", "sums_us", "totals")

    def __init__(self, into: Sequence[Any]) -> None:
        self.into = into
        self.rows = 0
        self.totals, self.queues, self.computes = ([0] * (len(_BUCKETS_US) + 1) for _ in _DURATIONS)
        self.sums_us = [0, 0, 0]

    def add(self, record: Request) -> None:
        """One answer, written out without loops: it is on the path of every request."""
        total_us, queue_us, compute_us, sums_us = record.total_us, record.queue_us, record.compute_us, self.sums_us
        self.rows += record.rows
        self.totals[bisect_left(_BUCKETS_US, total_us)] += 1
        self.queues[bisect_left(_BUCKETS_US, queue_us)] += 1
        self.computes[bisect_left(_BUCKETS_US, compute_us)] += 1
        sums_us[0] += total_us
        sums_us[1] += queue_us
        sums_us[2] += compute_us

    def publish(self) -> None:
        """`observe` would cost two locked updates an answer; its own cells take sums as well (a test holds their names)."""
        for histogram, counts, sum_us in zip(
            self.into, (self.totals, self.queues, self.computes), self.sums_us, strict=True
        ):
            for bucket, n in enumerate(counts):
                if n:
                    histogram._buckets[bucket].inc(n)
                    counts[bucket] = 0
            histogram._sum.inc(sum_us / 1e6)
        self.rows, self.sums_us = 0, [0, 0, 0]


class Batches:
    """Runs of one version since the last publish."""

    __slots__ = ("buckets", "into", "reasons", "rows")

    def __init__(self, into: Any) -> None:
        self.into = into  # looked up once: by labels it costs as much as what it adds up
        self.buckets: Sums[int] = Sums()
        self.reasons: Sums[str] = Sums()
        self.rows = 0

    def add(self, rows: int, reason: str) -> None:
        """One run of so many rows, released for this reason."""
        self.buckets[min((rows - 1).bit_length(), len(BATCH_ROWS_BUCKETS))] += 1
        self.reasons[reason] += 1
        self.rows += rows


class _Log:
    """What is told of the feature log."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records = Counter(
            "plumbline_log_records", "Request records in the feature log.", ("outcome",), registry=registry
        )
        self.dropped = Counter(
            "plumbline_log_dropped",
            "Request records that could not be written.",
            ("outcome", "reason"),
            registry=registry,
        )
        self.fsync_failures = Counter(
            "plumbline_log_fsync_failures",
            "Times that the disk refused to fsync the log: what was written since the last good one may not survive a power "
            "failure; in log_durability disk it is written once more.",
            registry=registry,
        )
        self.unsynced = Counter(
            "plumbline_log_unsynced",
            "Records written whose fsync failed twice: their answers were told so (log_durability disk).",
            registry=registry,
        )
        self.reserve = Gauge(
            "plumbline_log_reserve_bytes",
            "Space held back for a full disk, all workers; less than usual: a disk is full.",
            registry=registry,
            multiprocess_mode="livesum",
        )


class _Routes:
    """What is told of the routes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.errors = Counter("plumbline_routes_errors", "Routes documents or pins not applied.", registry=registry)
        self.changes = Counter(
            "plumbline_route_changes",
            "Changes of the routes asked of the admin API: made, dry_run, or the code of the error that refused them.",
            ("result",),
            registry=registry,
        )
        self.generation = Gauge(
            "plumbline_routes_generation", "Routes generation in use.", registry=registry, multiprocess_mode="livemin"
        )


class _Versions:
    """What is told of the pinned versions."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.refused = Counter(
            "plumbline_versions_refused",
            "Versions that a worker did not load, each time it tried: inspection, load, run, rows, nan, memory, time, crash, "
            "interrupted (what its trial found), mismatch, missing, signature, unreadable (what the registry has), unforeseen.",
            ("reason",),
            registry=registry,
        )
        self.ejected = Gauge(
            "plumbline_versions_ejected",
            "Pinned versions that ended their workers and are not loaded until they are set or pinned again.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.evicted = Counter(
            "plumbline_versions_evicted",
            "Versions that a worker let go because of versions_memory_max_mb.",
            registry=registry,
        )
        self.memory = Gauge(
            "plumbline_versions_memory_bytes",
            "Memory of the loaded versions of all workers, as measured when they were loaded.",
            registry=registry,
            multiprocess_mode="livesum",
        )


class Telemetry:
    """The instruments of one worker process."""

    def __init__(self) -> None:
        own = CollectorRegistry()
        arm = ("model", "version", "arm")
        self._received = Counter("plumbline_requests_received", "Predict requests that have an outcome.", registry=own)
        self._requests = Counter(
            "plumbline_requests", "Predict requests by outcome.", (*arm, "protocol", "outcome", "code"), registry=own
        )
        self._rows = Counter("plumbline_rows", "Rows answered.", arm, registry=own)
        self._log = _Log(own)
        self._shadows = Counter(
            "plumbline_shadow_runs",
            "Requests offered to a shadow by result: run, not_finite (it ran, and said NaN or infinity), failed, dropped (its "
            "queue was full, or the worker ended), shed (a live request was shed), stale (it had waited for 10 s).",
            ("model", "version", "result"),
            registry=own,
        )
        self._connections = Counter(
            "plumbline_connections_ended",
            "Connections refused or given up, by reason: a timeout, keep_alive, linger, the error code that was answered, or "
            "answer_unsent: its client had gone, or did not read until the end of the grace.",
            ("reason",),
            registry=own,
        )
        self._keys_refused = Counter(
            "plumbline_keys_refused",
            "Requests that their API key did not let in: missing, unknown, expired, revoked, scope, rate, unavailable (their "
            "file was never read).",
            ("reason",),
            registry=own,
        )
        self._feedback = Counter("plumbline_feedback", "Labels received.", registry=own)
        self._traces = Counter(
            "plumbline_traces",
            "Followed requests by what became of their spans: exported, queue_full (too many waited), export_failed (the "
            "collector did not take them), closed (the worker ended).",
            ("result",),
            registry=own,
        )
        self._routes, self._versions = _Routes(own), _Versions(own)
        self._durations = {
            name: Histogram(f"plumbline_{name}_seconds", text, arm, buckets=LATENCY_BUCKETS_S, registry=own)
            for name, text in _DURATIONS.items()
        }
        self._batch_rows = Histogram(
            "plumbline_batch_rows", "Rows in one run.", ("model", "version"), buckets=BATCH_ROWS_BUCKETS, registry=own
        )
        self._releases = Counter(
            "plumbline_batch_releases",
            "Runs by the reason for which they began: full, idle, timer, deadline.",
            ("model", "version", "reason"),
            registry=own,
        )
        self._batches: dict[tuple[str, str], Batches] = {}
        self._answers: dict[_Arm, _Answers] = {}
        self._counts: Sums[tuple[Any, ...]] = Sums()
        self._published: Sums[tuple[str, ...]] = Sums()

    def request(self, record: Request, model: str, version: str) -> None:
        """One settled request; `model` and `version` are "" unless they are served here."""
        self._counts[model, version, record.arm, record.protocol, record.outcome, record.code] += 1
        if record.outcome == "answered":
            arm = (model, version, record.arm)
            answers = self._answers.get(arm)
            if answers is None:
                answers = self._answers[arm] = _Answers(
                    [histogram.labels(*arm) for histogram in self._durations.values()]
                )
            answers.add(record)

    def batches(self, model: str, version: str) -> Batches:
        """Where the runs of one version are added up."""
        found = self._batches.get((model, version))
        if found is None:
            found = self._batches[model, version] = Batches(self._batch_rows.labels(model, version))
        return found

    def publish(self, logged: Mapping[str, int], dropped: Mapping[str, Mapping[str, int]]) -> None:
        """Moves what was added up into the shared instruments; `logged` and `dropped` are the log's own running totals."""
        for labels, n in self._counts.items():
            self._requests.labels(*labels).inc(n)
        self._received.inc(self._counts.total())
        self._counts.clear()
        for arm, answers in self._answers.items():
            if answers.rows:
                self._rows.labels(*arm).inc(answers.rows)
                answers.publish()
        for version, batches in self._batches.items():
            self._publish_batches(version, batches)
        for outcome, n in logged.items():
            self._log.records.labels(outcome).inc(self._since("logged", outcome, total=n))
        for outcome, reasons in dropped.items():
            for reason, n in reasons.items():
                self._log.dropped.labels(outcome, reason).inc(self._since("dropped", outcome, reason, total=n))

    def log_disk(self, fsync_failures: int, unsynced: int, reserve_bytes: int) -> None:
        """How the log stands with its disk; `fsync_failures` and `unsynced` are its own running totals."""
        self._log.fsync_failures.inc(self._since("fsync failures", total=fsync_failures))
        self._log.unsynced.inc(self._since("unsynced", total=unsynced))
        self._log.reserve.set(reserve_bytes)

    def _publish_batches(self, version: tuple[str, str], batches: Batches) -> None:
        if not batches.rows:
            return
        for bucket, n in batches.buckets.items():
            batches.into._buckets[bucket].inc(n)
        batches.into._sum.inc(batches.rows)
        for reason, n in batches.reasons.items():
            self._releases.labels(*version, reason).inc(n)
        batches.buckets.clear()
        batches.reasons.clear()
        batches.rows = 0

    def _since(self, *key: str, total: int) -> int:
        grown = total - self._published[key]
        self._published[key] = total
        return max(0, grown)

    def shadow(self, model: str, version: str, result: str, n: int = 1) -> None:
        """So many offers to a shadow ended in this way."""
        self._shadows.labels(model, version, result).inc(n)

    def connection(self, reason: str) -> None:
        """One connection refused or given up."""
        self._connections.labels(reason).inc()

    def key_refused(self, reason: str) -> None:
        """One request that its key did not let in."""
        self._keys_refused.labels(reason).inc()

    def traces(self, results: Mapping[str, int]) -> None:
        """What became of the spans of followed requests, in running totals."""
        for result, n in results.items():
            self._traces.labels(result).inc(self._since("traces", result, total=n))

    def feedback(self, labels: int) -> None:
        """Labels accepted."""
        self._feedback.inc(labels)

    def routes(self, generation: int) -> None:
        """A routes document is in use."""
        self._routes.generation.set(generation)

    def route_change(self, result: str) -> None:
        """What became of a change: `made`, `dry_run` or the error's code."""
        self._routes.changes.labels(result).inc()

    def version_refused(self, reason: str) -> None:
        """A pinned version was not loaded."""
        self._versions.refused.labels(reason).inc()

    def versions_ejected(self, n: int) -> None:
        """So many pinned versions are kept out."""
        self._versions.ejected.set(n)

    def versions_kept(self, memory_bytes: int, evicted: int) -> None:
        """What the loaded versions take, and how many went just now because of the cap."""
        self._versions.memory.set(memory_bytes)
        self._versions.evicted.inc(evicted)

    def routes_error(self) -> None:
        """A routes document or a pin was not applied."""
        self._routes.errors.inc()

    def totals(self) -> list[tuple[str, Mapping[str, str], float]]:
        """Every sample of all workers together: name, labels, value; reads their shared files, so call it in a thread."""
        everyone = _everyone()
        return [(s.name, s.labels, s.value) for family in everyone.collect() for s in family.samples]

    def exposition(self) -> bytes:
        """The text of all workers together; reads their shared files, so call it in a thread."""
        return generate_latest(_everyone())


def _everyone() -> CollectorRegistry:
    """All workers together. What those that are gone counted stays; what they held does not: nobody else takes their gauges
    out, and a full disk would go on having the reserve of a worker that died.
    """
    place = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    for pid in {path.stem.rpartition("_")[2] for path in place.glob("gauge_live*.db")}:
        if not _lives(int(pid)):
            with suppress(FileNotFoundError):  # another worker was first
                mark_process_dead(int(pid), str(place))  # type: ignore[no-untyped-call]
    everyone = CollectorRegistry()
    MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
    return everyone


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):  # the number is somebody else's by now: no worker of ours
        return False
    return True
