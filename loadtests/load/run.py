"""What happens around a run: a look at log and service before, the plan's steps meanwhile, the report and exit code after.

One a run, in the process that locust's users are counted in: alone or as the master of workers.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import MasterRunner

from loadtests.load import joined, page, pictures, watch
from loadtests.load.asked import Asked
from loadtests.load.key import API_KEY
from loadtests.load.objective import Missed, sentence
from loadtests.load.outcome import Kind, Mark, Told
from loadtests.load.plans import Scenario, canary_percent, users_at
from loadtests.load.rollout import Conductor
from loadtests.load.scraped import Page
from loadtests.load.seen import Row, Seen

CSS = Path(__file__).with_name("page.css")
WORKERS_S = 15.0  # how long the last word of each worker is waited for
COME_S = 30.0  # the first user comes later only where a worker is lost
ASK_S = 1.0
STOP = "plumbline_stop"  # to workers: stop your users
LOOK_AGAIN_S = 0.1
TRACE_CHARS = 300
log = logging.getLogger("plumbline.load")


@dataclass(slots=True)
class Run:
    """`seen` fills while it lasts."""

    environment: Environment
    asked: Asked
    seen: Seen
    began_s: float = 0.0  # of the monotonic clock
    marks: list[Mark] = field(default_factory=list)
    by_worker: dict[str, int] = field(default_factory=dict)  # predictions, of those that have said their last word
    ended: bool = False
    told: bool = False  # its report is there
    _workers: int = 0
    _machine: str = ""
    _came: bool = False  # users
    _watch: watch.Watch = field(init=False)
    _conductor: Conductor | None = None
    _home: Path | None = None
    _before: Mapping[str, Any] | None = None
    _around: Page | None = None  # before the log was read

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.began_s if self.began_s else 0.0

    def hear(self, worker: str, rows: Sequence[Row]) -> None:
        """What a worker saw, when its users have stopped."""
        self.seen.add(rows)
        self.by_worker[worker] = sum(row[-1] for row in rows)

    def begin(self) -> None:
        """Returns when the service has been looked at: users come afterwards."""
        url = self.environment.host.rstrip("/")
        self._home = watch.home_of(url, self.asked.home)
        self._watch = watch.Watch(url, self._home, lambda: self.environment.runner.user_count)
        if self._home is not None:
            self._around, self._before = self._watch.page(), watch.ledger(self._home)
            gevent.sleep(watch.PUBLISHED_S)  # so that no look counts later what was in the log already
        if isinstance(self.environment.runner, MasterRunner):
            self._workers = len(self.environment.runner.clients)
        self._machine = watch.machine()
        self._watch.start()
        self.began_s = time.monotonic()
        if self.asked.trouble is not None:
            self.marks.append(Mark(self.asked.trouble.after_s, f"incident {self.asked.trouble.incident} begins"))
        if self.asked.scenario is Scenario.CANARY:
            self._conductor = Conductor(url, self.asked.token, self._mark)
            self._conductor.begin()

    def users(self) -> int | None:
        """Of this moment, by the plan, whose time begins with the first of them; None: it is over."""
        if not self._came and (self.environment.runner.user_count or self.elapsed_s > COME_S):
            self._came, self.began_s = True, time.monotonic()
            self._watch.begin_again()
        if not self._came:
            return 1
        if self._conductor is not None and not self.ended:
            self._conductor.want(canary_percent(self.elapsed_s / self.asked.seconds))
        return users_at(self.asked.plan, self.elapsed_s, seconds=self.asked.seconds, peak=self.asked.peak)

    def end(self) -> None:
        """All users have stopped: waits for the last word of workers and service, writes the report, decides the exit code."""
        if self.ended:
            return
        self.ended, seconds = True, self.elapsed_s
        if self._conductor is not None:
            self._conductor.end()
        self._wait_for_workers()
        told_them = self.seen.outcomes()
        self._watch.stop({outcome: told_them[outcome] for outcome in joined.OUTCOMES})
        told = self._told(seconds)
        self._watch.close()
        self._write(told)
        self.told = True
        self.environment.process_exit_code = 0 if told.good else 1

    def _mark(self, says: str) -> None:
        self.marks.append(Mark(self.elapsed_s, says))
        log.info(says)

    def _wait_for_workers(self) -> None:
        """Where Ctrl-C ended the master before its workers, they are told to stop: nobody counts while others ask."""
        began_s, told = time.monotonic(), False
        while len(self.by_worker) < self._workers and time.monotonic() < began_s + WORKERS_S:
            if not told and time.monotonic() > began_s + ASK_S:
                self.environment.runner.send_message(STOP, {})
                told = True
            gevent.sleep(LOOK_AGAIN_S)

    def _told(self, seconds: float) -> Told:
        after = watch.ledger(self._home) if self._home is not None and self._before is not None else None
        around = self._counted_around() if after is not None else None
        counted = self._watch.counted()
        callers = joined.of_callers(self.seen.outcomes())
        counters = joined.of_counters(counted) if counted is not None else None
        books = joined.of_log(self._before, after) if self._before is not None and after is not None else None
        faults = watch.faults(after) if after is not None else ()
        return Told(
            scenario=self.asked.scenario,
            plan=self.asked.plan,
            objective=self.asked.objective,
            url=self._watch.url,
            began_s=time.time() - self.elapsed_s,
            seconds=seconds,
            peak=self.asked.peak,
            machine=self._machine,
            processes=self._workers,
            seen=self.seen,
            looks=self._watch.looks,
            counted=counted,
            callers=callers,
            counters=counters,
            log=books,
            equations=joined.equations(callers, counters, books, faults, around),
            notes=self._notes(counters is None, books is None),
            marks=sorted(self.marks, key=lambda mark: mark.at_s),
            kinds=self._kinds(),
            problems=self._problems(),
            raised=sum(n for n, _ in self._raised()),
        )

    def _counted_around(self) -> joined.Counts | None:
        """From before the log was read first until now, when it has been read last."""
        gevent.sleep(watch.PUBLISHED_S)
        page = self._watch.page()
        return joined.of_counters(page.since(self._around)) if page is not None and self._around is not None else None

    def _notes(self, counters: bool, books: bool) -> list[str]:
        said = []
        if counters:
            said.append(f"{self._watch.url}/metrics could not be read; where keys are asked for, set {API_KEY}.")
        if books and self._home is None:
            said.append(
                f"{self.asked.home} is not the home of this service: name it with --home to hold the log against it."
            )
        elif books:
            said.append("`plumbline log verify` could not read the log.")
        if self.by_worker:
            parts = ", ".join(f"{worker} {n:,}" for worker, n in sorted(self.by_worker.items()))
            said.append(f"Predictions by locust worker: {parts}.")
        if self._workers > len(self.by_worker):
            said.append(f"{self._workers - len(self.by_worker)} locust workers did not say what they saw last.")
        said += [f"A user of locust raised an exception, {n:,} times: {what}" for n, what in self._raised()]
        if self.environment.runner.cpu_warning_emitted:
            said.append(
                "Locust was short of processor, so latency is worse than other callers would have seen; "
                "give it workers, or fewer users."
            )
        return said

    def _kinds(self) -> list[Kind]:
        entries = sorted(self.environment.stats.entries.values(), key=lambda one: one.name)
        return [
            Kind(
                one.name,
                one.num_requests,
                one.num_failures,
                *(float(one.get_response_time_percentile(share)) for share in (0.5, 0.95, 0.99)),
            )
            for one in entries
            if one.num_requests
        ]

    def _problems(self) -> list[tuple[int, str]]:
        errors = self.environment.stats.errors.values()
        return sorted(((one.occurrences, f"{one.name}: {one.error}") for one in errors), reverse=True)

    def _raised(self) -> list[tuple[int, str]]:
        """How often, and where: the last lines of the trace."""
        raised = self.environment.runner.exceptions.values()
        return [(one["count"], f"{one['msg']} ({one['traceback'].strip()[-TRACE_CHARS:]})") for one in raised]

    def _write(self, told: Told) -> None:
        self.asked.report.parent.mkdir(parents=True, exist_ok=True)
        whole = page.document(told, CSS.read_text(), pictures.callers(told), pictures.service(told))
        self.asked.report.write_text(whole)
        log.info("%s: %s", sentence(told.verdict), self.asked.report.resolve())
        if isinstance(told.verdict, Missed):
            for reason in told.verdict.reasons:
                log.warning(reason)
        for equation in told.equations:
            log.log(logging.INFO if equation.holds else logging.ERROR, equation.says)
