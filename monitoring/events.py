"""What a receiver is told: one CloudEvent `plumbline.retrain.requested.v1` an incident, with the evidence to act on and
to check it; and one `plumbline.incident.ended.v1` when it is over, for who wants to hear of that.

Laws
- The body is a function of the incident: the same incident makes the same bytes, whoever builds it.
- It is smaller than BODY_BYTES_MAX whatever the names, columns and categories are: evidence is cut to its largest
  parts, and what was cut is added up as "other", never left out silently.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from cloudevents.core.bindings.http import to_structured_event
from cloudevents.core.v1.event import CloudEvent

from monitoring.alert import event_id
from monitoring.effects import effects
from monitoring.explain.body import story_body
from monitoring.explain.story import Story
from monitoring.marks import LogRange
from monitoring.reference import Reference
from monitoring.verdict import DRIFT, LABEL, Drifted, Finding, Stable
from monitoring.window import MINUTE_S, MINUTE_US

TYPE = "plumbline.retrain.requested.v1"
ENDED_TYPE = "plumbline.incident.ended.v1"
CLEARED, FORGOTTEN = "cleared", "forgotten"  # why an incident ended
END = "_end"  # the id of an end is that of the incident with this behind it
SOURCE = "urn:plumbline:monitor"
BODY_BYTES_MAX = 20_000  # Standard Webhooks asks for less than 20 kB

# What a check that failed says of its column; of any other kind of skew: it came so.
_WORDS = {
    "drift": "drifted",
    "new": "had names that the contract has not",
    "shape": "had a wrong shape",
    "collapse": "all but lost the category {category!r}",
}

Counts = npt.NDArray[np.int64]


class _Cut(NamedTuple):
    """How much evidence is kept; tried from the richest on, the last one always fits."""

    bins: int
    chars: int
    also: int
    writers: int
    checks_bytes: int


CUTS = (_Cut(40, 120, 10, 64, 4000), _Cut(24, 60, 10, 64, 2000), _Cut(12, 40, 10, 32, 2000), _Cut(6, 24, 5, 16, 1000))


@dataclass(frozen=True, slots=True)
class Event:
    """An event to be delivered: `body` is the whole CloudEvent in structured JSON."""

    id: str
    body: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Incident:
    """What the fold knows of a breach when it begins; `breaching` worst first, `counts` and `arms` of the worst one's
    window, which is of minutes [first_minute, last_minute].
    """

    model: str
    version: str
    digest: str
    began_minute: int
    judged_minute: int
    first_minute: int
    last_minute: int
    covered_s: int
    counts: Counts
    arms: Mapping[str, Counts]
    breaching: tuple[Finding, ...]
    log_range: LogRange
    reference: Reference
    story: Story | None = None


def request_retrain(incident: Incident) -> Event:
    """The event of an incident, with as much evidence as fits."""
    name = event_id(incident.model, incident.digest, incident.began_minute)
    body = b""
    for cut in CUTS:
        body = _body(name, incident, cut)
        if len(body) < BODY_BYTES_MAX:
            break
    return Event(name, body)


def incident_ended(version: tuple[str, str, str], incident: int, ended: int, why: str) -> Event:
    """The event of an incident's end: it began in the minute `incident` and was clear in `ended`.

    `why`: cleared, or forgotten: nothing more came of this version.
    """
    model, name, digest = version
    opening = event_id(model, digest, incident)
    event = CloudEvent(
        {
            "specversion": "1.0",
            "id": opening + END,
            "source": SOURCE,
            "type": ENDED_TYPE,
            "time": _time(ended + 1),
            "subject": f"{model}:{name}",
            "datacontenttype": "application/json",
        },
        {
            "model": model,
            "version": name,
            "digest": digest,
            "incident": opening,
            "began": stamp(incident),
            "ended": stamp(ended + 1),
            "why": why,
            "reason": f"{model}:{name}: the incident is over: {why}",
        },
    )
    return Event(opening + END, to_structured_event(event).body)


def opening_of(identifier: str) -> str | None:
    """The id of the event that opened the incident which this id ends; None: it ends nothing."""
    return identifier.removesuffix(END) if identifier.endswith(END) else None


def _body(name: str, incident: Incident, cut: _Cut) -> bytes:
    event = CloudEvent(
        {
            "specversion": "1.0",
            "id": name,
            "source": SOURCE,
            "type": TYPE,
            "time": _time(incident.judged_minute + 1),
            "subject": f"{incident.model}:{incident.version}",
            "datacontenttype": "application/json",
        },
        _data(incident, cut),
    )
    return to_structured_event(event).body


def _data(incident: Incident, cut: _Cut) -> dict[str, Any]:
    top, *others = _worst(incident.breaching)
    seen, (checks, left_out) = _numbers(top, cut), _checks(incident.breaching, cut)
    return {
        "model": incident.model,
        "version": incident.version,
        "digest": incident.digest,
        "began": stamp(incident.began_minute),
        "arms": {arm: _rows(incident, top, counts) for arm, counts in incident.arms.items()},
        "reason": _reason(incident, top, cut),
        "story": None if incident.story is None else story_body(incident.story, cut.chars),
        "feature": _short(top.check.column, cut.chars),
        "side": top.check.side,
        "check": top.check.test,
        "segment": _short(top.check.segment, cut.chars) or None,
        **seen,
        "effects": _effects(incident, top),
        "window": {
            "seconds": top.check.window_s,
            "from": stamp(max(incident.first_minute, incident.last_minute + 1 - incident.covered_s // MINUTE_S)),
            "to": stamp(incident.last_minute + 1),
            "rows": seen["n"],
        },
        "histograms": None if top.place < 0 else _histograms(incident, top.place, cut),
        "also": [_also(finding, cut) for finding in others[: cut.also]],
        "also_left_out": max(0, len(others) - cut.also),
        "checks": checks,
        "checks_left_out": left_out,
        "log_range": {
            writer: [list(first), list(last)]
            for writer, (first, last) in sorted(incident.log_range.items())[: cut.writers]
        },
        "replay": f"plumbline monitor replay --from {stamp(incident.began_minute)} --to {stamp(incident.judged_minute + 1)}",
    }


def _worst(breaching: Sequence[Finding]) -> list[Finding]:
    """Of each check the window in which it is worst, worst first."""
    found: dict[tuple[str, str, str, str], Finding] = {}
    for one in breaching:
        about = one.check
        found.setdefault((about.side, about.column, about.test, about.segment), one)
    return list(found.values())


def _checks(breaching: Sequence[Finding], cut: _Cut) -> tuple[list[list[str]], int]:
    """What silences are held against: the column and the check of all that breached, names whole, worst first; and how many
    found no room.
    """
    named = list(dict.fromkeys((one.check.column, one.check.test) for one in breaching))
    sizes = np.cumsum([len(json.dumps(one)) for one in named])
    kept = int(np.searchsorted(sizes, cut.checks_bytes, side="right"))
    return [list(one) for one in named[:kept]], len(named) - kept


def _numbers(finding: Finding, cut: _Cut) -> dict[str, Any]:
    match finding.verdict:
        case Stable() | Drifted() as seen:
            return {
                "n": seen.n,
                "statistic": _round(seen.statistic),
                "df": seen.df,
                "p_value": _round(seen.p_value),
                "effect": _round(seen.effect),
                "lower_bound": _round(seen.lower_bound),
                "tolerance": _round(seen.tolerance),
                **_rates(seen, cut),
            }
        case _:
            return {"n": 0}


def _rates(seen: Stable | Drifted, cut: _Cut) -> dict[str, Any]:
    """Of skew the present rate as an interval beside that of training, and the category that collapsed."""
    if seen.low is None or seen.high is None or seen.trained is None:
        return {}
    rates = {"rate": _round(seen.statistic), "rate_interval": [_round(seen.low), _round(seen.high)]}
    return {**rates, "training_rate": _round(seen.trained), "category": _short(seen.what, cut.chars) or None}


def _effects(incident: Incident, top: Finding) -> dict[str, list[float] | None] | None:
    """The measures of a drift that people know, each as [estimate, low, high] (effects.py)."""
    if top.check.test != DRIFT or not isinstance(top.verdict, Stable | Drifted):
        return None
    known = effects(incident.reference, top.place, incident.counts, top.verdict.statistic, top.verdict.df)
    if known is None:
        return None
    measures = {name: getattr(known, name) for name in known.__struct_fields__}
    return {
        name: None if one is None else [_round(one.estimate), _round(one.low), _round(one.high)]
        for name, one in measures.items()
    }


def _reason(incident: Incident, top: Finding, cut: _Cut) -> str:
    about, seen = top.check, _numbers(top, cut)
    column = f"{about.side} {_short(about.column, cut.chars)!r}" if about.column else "the rows"
    where, since = "", "training"
    if about.segment:
        where, since = f" in the segment {_short(about.segment, cut.chars)!r}", "what the segment was"
    unit = "PSI" if about.test == "drift" else "of the rows"
    what = _WORDS.get(about.test, f"came {about.test}").format(category=seen.get("category"))
    more = len(_worst(incident.breaching)) - 1
    others = f", and {more} more check{'s' if more > 1 else ''}" if more else ""
    if about.side == LABEL:
        return _reason_of_labels(incident, top, cut) + others
    return (
        f"{incident.model}:{incident.version}: {column} {what}{where}: {seen['effect']} {unit} from {since}, "
        f"at least {seen['lower_bound']}, tolerance {seen['tolerance']}, in {seen['n']} rows of {about.window_s} s{others}"
    )


def _reason_of_labels(incident: Incident, top: Finding, cut: _Cut) -> str:
    about, seen = top.check, _numbers(top, cut)
    against = "that of its reference" if about.test == "loss" else "what its scores promise"
    return (
        f"{incident.model}:{incident.version}: the loss of {_short(about.column, cut.chars)!r} is "
        f"{100 * seen['effect']:+.3g} % off {against} in {seen['n']} labelled rows of {about.window_s // 86_400} days, "
        f"tolerance {100 * seen['tolerance']:.3g} %"
    )


def _also(finding: Finding, cut: _Cut) -> dict[str, Any]:
    about, seen = finding.check, _numbers(finding, cut)
    return {
        "column": _short(about.column, cut.chars),
        "side": about.side,
        "check": about.test,
        "window_s": about.window_s,
        **({"segment": _short(about.segment, cut.chars)} if about.segment else {}),
        "effect": seen.get("effect"),
        "lower_bound": seen.get("lower_bound"),
        "n": seen["n"],
    }


def _histograms(incident: Incident, place: int, cut: _Cut) -> dict[str, Any]:
    """Both counts of the bins in which their shares differ most, in bin order; the others as one."""
    reference = incident.reference
    expected = reference.expected(incident.counts[None, :])[0]
    base, now = reference.bins(expected, place), reference.bins(incident.counts, place)
    labels = reference.columns[place].labels()
    differ = np.abs(base / max(1, int(base.sum())) - now / max(1, int(now.sum())))
    filled = np.flatnonzero((base + now) > 0)
    kept = np.sort(filled[np.argsort(-differ[filled], kind="stable")][: cut.bins])
    shown = {
        "labels": [_short(labels[i], cut.chars) for i in kept],
        "baseline": base[kept].tolist(),
        "window": now[kept].tolist(),
    }
    if len(kept) < len(filled):
        shown["labels"].append(f"other ({len(filled) - len(kept)} bins)")
        shown["baseline"].append(int(base.sum() - base[kept].sum()))
        shown["window"].append(int(now.sum() - now[kept].sum()))
    return shown


def _rows(incident: Incident, top: Finding, counts: Counts) -> int:
    return int(incident.reference.bins(counts, max(0, top.place)).sum()) if incident.reference.columns else 0


def _short(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 1] + "…"


def _round(value: float) -> float:
    """Six significant digits: more are noise, and differ between processors."""
    return float(f"{value:.6g}")


def _time(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * MINUTE_US / 1e6, UTC)


def stamp(minute: int) -> str:
    """The beginning of a minute, as the monitor's commands take it."""
    return _time(minute).strftime("%Y-%m-%dT%H:%M:%SZ")
