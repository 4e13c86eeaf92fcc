"""What follows from one more minute: go on, wait, go back, or done.

Laws
- The same document and minutes give the same outcomes, to the byte; nothing else is asked, no clock either.
- A canary that keeps within every tolerance is rolled back with a chance of at most `false_rollbacks` over the whole
  rollout, however long it takes and however often it is looked at: each guard's wealth (betting.py) goes on through all
  steps and must reach guards / false_rollbacks; the chances add up (union bound). A guard of many comparisons has the mean of
  their wealths.
- Only minutes with requests of both arms count, as evidence and as time: no traffic is Hold, never success. A minute in
  which the share changed is not counted at all, one that shows another share than the step's is evidence but no time of the
  step: who applies an Advance late, or not at all, makes nothing advance.
- Rollback comes before everything. Advance says: long enough, enough requests answered in the step and held against stable's
  by every guard since the rollout began, enough labels where they are asked for, and no guard more than half way (in
  logarithms) to a rollback. It does not say that the canary
  is as good as stable, which no number of requests shows; docs/rollouts.md has what slips through.
- A step of 100 % has no stable beside it, so it is not judged: it is Done when a minute shows it. Until then, where nobody
  applies it, the canary is judged as before.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import log

import numpy as np

from monitoring.rollout.betting import Floats, Wealth, log_sum
from monitoring.rollout.document import Rollout
from monitoring.rollout.evidence import Minute, Part
from monitoring.rollout.guards import Watch, look, remember
from monitoring.rollout.outcome import (
    Advance,
    Baking,
    Changing,
    Done,
    Finding,
    Hold,
    NotApplied,
    NoTraffic,
    Outcome,
    Reason,
    Rollback,
    Suspicion,
    TooFewLabels,
    TooFewRequests,
    Unseen,
)
from monitoring.rollout.spread import Spread
from monitoring.window import MINUTE_S

LN_10 = log(10)


@dataclass(frozen=True, slots=True, eq=False)
class Progress:
    """How far a rollout has come.

    `minutes` and `answered` are of the present step; `labelled`, `sums`, `spread` and `wealth` since the rollout began; `past`:
    stable's vector, older minutes weighing less.
    """

    step: int
    minutes: int
    answered: int
    labelled: int
    wealth: Wealth
    spread: Spread
    past: Floats
    sums: Floats  # (4, comparisons): Seen, added up
    ended: Rollback | Done | None = None


def begin(watch: Watch) -> Progress:
    """Before the first minute."""
    return Progress(
        step=0,
        minutes=0,
        answered=0,
        labelled=0,
        wealth=Wealth.start(watch.comparisons),
        spread=Spread.start(watch.comparisons),
        past=np.zeros(Part.OUTPUTS + watch.bins),
        sums=np.zeros((4, watch.comparisons)),
    )


def decide(rollout: Rollout, watch: Watch, progress: Progress, minute: Minute) -> tuple[Progress, Outcome]:
    """One closed minute, in order."""
    if progress.ended is not None:
        return progress, progress.ended
    percent = rollout.steps[progress.step]
    if percent == 100 and minute.canary[Part.REQUESTS] and not minute.stable[Part.REQUESTS]:
        return replace(progress, ended=Done()), Done()
    if not minute.concurrent:
        return progress, Hold(NoTraffic("stable" if minute.canary[Part.REQUESTS] else "canary"))
    if not minute.steady:
        return progress, Hold(Changing())
    progress = _take_in(rollout, watch, progress, minute)
    worst = _worst(rollout, watch, progress)
    if worst.log10_evidence >= worst.log10_needed:
        return replace(progress, ended=Rollback(worst)), Rollback(worst)
    if not minute.shows(percent):
        return progress, Hold(Suspicion(worst) if _suspicious(worst) else NotApplied(percent))
    answered = int(minute.canary[Part.LATENCY : Part.OUTPUTS].sum())
    progress = replace(progress, minutes=progress.minutes + 1, answered=progress.answered + answered)
    if (reason := _not_yet(rollout, watch, progress, worst)) is not None:
        return progress, Hold(reason)
    if progress.step + 1 == len(rollout.steps):
        return replace(progress, ended=Done()), Done()
    step = progress.step + 1
    return replace(progress, step=step, minutes=0, answered=0), Advance(step, rollout.steps[step])


def replay(rollout: Rollout, watch: Watch, minutes: Iterable[Minute]) -> Iterator[tuple[int, Outcome]]:
    """The outcome of every minute, ended by the first Rollback or Done."""
    progress = begin(watch)
    for minute in minutes:
        progress, outcome = decide(rollout, watch, progress, minute)
        yield minute.number, outcome
        if progress.ended is not None:
            return


def findings(rollout: Rollout, watch: Watch, progress: Progress) -> list[Finding]:
    """What each guard has seen, in the document's order; of a guard of many comparisons the one that says most."""
    logs = progress.wealth.log_totals
    return [_finding(rollout, watch, progress, logs, guard) for guard in range(len(watch.names))]


def _worst(rollout: Rollout, watch: Watch, progress: Progress) -> Finding:
    """The guard with the most evidence against the canary."""
    logs = progress.wealth.log_totals
    guard = int(np.argmax([_mean(logs[watch.owner == number]) for number in range(len(watch.names))]))
    return _finding(rollout, watch, progress, logs, guard)


def _finding(rollout: Rollout, watch: Watch, progress: Progress, logs: Floats, guard: int) -> Finding:
    own = np.flatnonzero(watch.owner == guard)
    place = int(own[logs[own].argmax()]) if len(own) else None
    k_c, n_c, k_s, n_s = (0.0,) * 4 if place is None else progress.sums[:, place].tolist()
    return Finding(
        guard=watch.names[guard],
        what="nothing to compare" if place is None else watch.what[place],
        canary=k_c / max(1.0, n_c),
        stable=k_s / max(1.0, n_s),
        margin=0.0 if place is None else float(watch.margin[place]),
        canary_n=int(n_c),
        stable_n=int(n_s),
        log10_evidence=_mean(logs[own]) / LN_10,
        log10_needed=-log(rollout.alpha) / LN_10,
    )


def _take_in(rollout: Rollout, watch: Watch, progress: Progress, minute: Minute) -> Progress:
    seen, guess, half_k, half_n = look(watch, progress.past, minute)
    together = np.maximum(progress.spread.together, rollout.together)
    return replace(
        progress,
        labelled=progress.labelled + int(minute.canary[Part.LABELLED]),
        wealth=progress.wealth.after(seen, guess, watch.margin, together),
        spread=progress.spread.after(half_k, half_n, seen.stable_k, seen.stable_n),
        past=remember(progress.past, minute),
        sums=progress.sums + np.stack([seen.canary_k, seen.canary_n, seen.stable_k, seen.stable_n]),
    )


def _not_yet(rollout: Rollout, watch: Watch, progress: Progress, worst: Finding) -> Reason | None:
    labels = rollout.guards.labels
    if _suspicious(worst):
        return Suspicion(worst)
    if progress.minutes * MINUTE_S < rollout.bake_s:
        return Baking(progress.minutes * MINUTE_S, rollout.bake_s)
    if progress.answered < rollout.requests_min:
        return TooFewRequests(progress.answered, rollout.requests_min)
    if labels is not None and progress.labelled < labels.labels_min:
        return TooFewLabels(progress.labelled, labels.labels_min)
    compared = _compared(watch, progress)
    blind = next((name for name, n in compared.items() if not n), None)
    if blind is not None:
        return Unseen(blind)
    fewest = min((n for name, n in compared.items() if name != "labels"), default=rollout.requests_min)
    return TooFewRequests(fewest, rollout.requests_min) if fewest < rollout.requests_min else None


def _compared(watch: Watch, progress: Progress) -> dict[str, int]:
    """How many of the canary's requests each guard has held against stable's since the rollout began.

    Fewer than were answered: what comes before anything is known of stable is held against nothing.
    """
    both = np.where(progress.sums[3] > 0, progress.sums[1], 0.0)
    return {name: int(both[watch.owner == guard].max(initial=0)) for guard, name in enumerate(watch.names)}


def _suspicious(worst: Finding) -> bool:
    return worst.log10_evidence > worst.log10_needed / 2


def _mean(logs: Floats) -> float:
    return float(log_sum(logs)) - log(len(logs)) if len(logs) else 0.0
