"""An incident as facts, and the one sentence that they make.

Laws
- The sentence is a function of the facts: the same facts make the same words.
- Facts are few and bounded: COLUMNS_MAX columns, EXAMPLES_MAX request ids, ARMS_MAX arms, whatever an incident spans.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import assert_never

import msgspec

from monitoring.explain.looks import (
    AnyLook,
    Clipped,
    Frozen,
    Merged,
    Missing,
    Negated,
    NewCategory,
    Nulls,
    Offset,
    Refused,
    Renamed,
    Respelt,
    Rounded,
    Scaled,
    Shifted,
    Spread,
    Stretched,
    Swapped,
    Temperature,
    TrueShare,
    Unit,
    Unrecognised,
    Vanished,
    Weighted,
)

_OF_ROWS = {"new": "come with names that the contract does not have", "shape": "come in a wrong shape"}
COLUMNS_MAX, EXAMPLES_MAX, ARMS_MAX = 6, 5, 16
ALL_ROWS = 0.97  # a share from which on a change is said to be of all rows: a sample does not tell the rest from none


class Since(msgspec.Struct, frozen=True):
    """Seconds since the Unix epoch; `open`: it may be older than what the monitor still holds."""

    at_s: int
    earliest_s: int
    latest_s: int
    open: bool = False


class ColumnStory(msgspec.Struct, frozen=True, omit_defaults=True):
    """One column and what became of it; `like`: the column before it whose cause it shares, and `why` that is thought."""

    column: str
    side: str
    look: AnyLook
    rows: int = 0
    like: str = ""
    why: str = ""


class Segment(msgspec.Struct, frozen=True):
    """Only rows in which this feature has this value are hit."""

    feature: str
    value: str


class RowFault(msgspec.Struct, frozen=True):
    """What no single column has: `what` as the check is named (`new`, `shape`), in a share of the rows, which are refused."""

    what: str
    share: float


class ArmStory(msgspec.Struct, frozen=True):
    """Is the change there? None: too few rows to tell."""

    version: str
    arm: str
    hit: bool | None
    rows: int


class Example(msgspec.Struct, frozen=True):
    """A row that was hit, as the log names it."""

    request_id: str
    row: int
    at_s: float


class HeldRow(msgspec.Struct, frozen=True, array_like=True):
    """An example's row as the sample holds it: cells of all columns, the places that are null, texts outside the categories."""

    cells: tuple[int, ...]
    nulls: tuple[int, ...] = ()
    texts: tuple[tuple[int, str], ...] = ()


class Story(msgspec.Struct, frozen=True, omit_defaults=True):
    """All of it; `cause`: `data`, `version` or `unknown`; `rows`: of the examples, one each, which no event carries."""

    columns: tuple[ColumnStory, ...]
    row_faults: tuple[RowFault, ...] = ()
    since: Since | None = None
    segment: Segment | None = None
    arms: tuple[ArmStory, ...] = ()
    moved_with_it: tuple[str, ...] = ()
    cause: str = "unknown"
    examples: tuple[Example, ...] = ()
    rows: tuple[HeldRow, ...] = ()

    @property
    def sentence(self) -> str:
        what = _what(self) + _with(self)
        return " ".join(part for part in (_when(self.since), what, _whose(self)) if part)


def _when(since: Since | None) -> str:
    if since is None:
        return ""
    if since.open:
        return f"since before {_clock(since.latest_s)} UTC"
    about = f"since about {_clock(since.at_s)} UTC"
    minutes = max(since.at_s - since.earliest_s, since.latest_s - since.at_s) // 60
    return f"{about} (± {_length(minutes)})"


def _clock(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M")


def _length(minutes: int) -> str:
    return (
        f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h" if minutes < 2880 else f"{minutes / 1440:.0f} d"
    )


def _what(story: Story) -> str:
    told: list[str] = []
    for place, one in enumerate(story.columns):
        if one.like and isinstance(one.look, Swapped):
            continue  # said of its other half
        if one.like:
            told.append(f"`{one.column}` is hit in the same way" if one.why == "alike" else _same(one))
        else:
            told.append(f"`{one.column}` {phrase(one.look)}{_scope(one.look, None if place else story.segment)}")
    told += [f"{_rows(fault.share)} {_OF_ROWS[fault.what]}, so they are refused" for fault in story.row_faults]
    return "; ".join(told)


def _same(one: ColumnStory) -> str:
    why = "in the same rows" if one.why == "same rows" else "and goes with it in all traffic"
    return f"`{one.column}` {phrase(one.look)}, {why}"


def _scope(look: AnyLook, segment: Segment | None) -> str:
    """Of which rows that is said; `segment`: that of the first column, of whose rows alone its look is."""
    rows, beside = "", " in rows"
    if isinstance(look, Nulls | TrueShare | Weighted):
        beside = ""  # it says the share itself
    elif not isinstance(
        look, Unrecognised | Vanished | Merged | Clipped | Spread
    ):  # which are of the column as a whole
        rows = " in all rows" if look.share >= ALL_ROWS else f" in about {_percent(look.share)} of the rows"
    if segment is None:
        return rows
    return f"{rows or beside} where `{segment.feature}` is {segment.value}, and in no others"


def _with(story: Story) -> str:
    return f"; {_list(story.moved_with_it)} moved with it" if story.moved_with_it else ""


def _whose(story: Story) -> str:
    hit = [arm for arm in story.arms if arm.hit]
    spared = [arm for arm in story.arms if arm.hit is False]
    if story.cause == "version":
        return f"(only in version {_list(sorted({arm.version for arm in hit}))}: the others answer as before)"
    if len(hit) > 1 and not spared:
        return "(all arms alike, so it is in the data)"
    if hit and spared:
        return f"(in arm {_list([arm.arm for arm in hit])}, not in {_list([arm.arm for arm in spared])})"
    return ""


def _list(names: Sequence[str]) -> str:
    ticked = [f"`{name}`" for name in names[:COLUMNS_MAX]]
    more = len(names) - len(ticked)
    if more:
        ticked.append(f"{more} more")
    return ticked[0] if len(ticked) == 1 else f"{', '.join(ticked[:-1])} and {ticked[-1]}"


def _percent(share: float) -> str:
    return f"{share * 100:.2g} %" if share < 0.995 else "all"


def _rows(share: float) -> str:
    return "all rows" if share >= 0.995 else f"{_percent(share)} of the rows"


def phrase(look: AnyLook) -> str:
    """What happened to a column, after its name."""
    match look:
        case Unit(factor=factor):
            return f"arrives {_times(factor)} (looks like a change of unit)"
        case Temperature(came=came, expected=expected):
            return f"arrives in {came} instead of {expected}"
        case Negated():
            return "arrives with the other sign"
        case Swapped(other=other):
            return f"and `{other}` are swapped"
        case Frozen(value=value):
            return f"is frozen at {value}"
        case Nulls(what=what, trained=trained, now=now):
            before = f"at training {_percent(trained)}" if trained else "never at training"
            return f"is {what} in {_rows(now)} ({before})"
        case Missing():
            return "is missing, so the rows are refused,"
        case Refused(what=what):
            return f"comes as {what}, so the rows are refused,"
        case NewCategory(names=names):
            return f"has new categories ({', '.join(names)})" if names else "has new categories"
        case Renamed(old=old, new=new):
            return f"says {new} where it said {old}"
        case Respelt(example=example):
            return f"spells its categories otherwise (such as {example})"
        case _:
            return _phrase_of_shape(look)


def _phrase_of_shape(look: AnyLook) -> str:
    match look:
        case Merged(old=old, into=into):
            return f"says {into} where it said {old}"
        case Vanished(category=category, trained=trained):
            return f"no longer holds {category} ({_percent(trained)} at training)"
        case Weighted(category=category, trained=trained, now=now):
            return f"holds {category} in {_rows(now)} instead of {_percent(trained)}"
        case TrueShare(trained=trained, now=now, inverted=inverted):
            return f"is true in {_rows(now)} (at training {_percent(trained)}){', as if inverted' if inverted else ''}"
        case Scaled(factor=factor, shift=shift):
            return f"arrives {_times(factor)} (its mean moved by {shift:+.2g} σ, by a factor that no unit has)"
        case Offset(by=by, shift=shift):
            return f"arrives with {by:+g} added ({shift:+.2g} σ)"
        case Shifted(shift=shift):
            return f"moved by {shift:+.2g} σ"
        case Spread(factor=factor):
            return f"is spread {_factor(factor)} times as wide around the same middle"
        case Stretched(factor=factor, by=by):
            return f"arrives as {_factor(factor)} × the usual {by:+g}"
        case Clipped(at=at, end=end):
            return f"is cut off {end} {at:g}"
        case Rounded(step=step):
            return f"is rounded to multiples of {step:g}"
        case Unrecognised():
            return "changed in a way that nothing in the catalogue explains"
        case (
            Unit()
            | Temperature()
            | Negated()
            | Swapped()
            | Frozen()
            | Nulls()
            | Missing()
            | Refused()
            | NewCategory()
            | Renamed()
            | Respelt()
        ):
            raise AssertionError(f"{look} is said above")
        case never:
            assert_never(never)


def _times(factor: float) -> str:
    return f"{_factor(factor)} times too large" if factor > 1 else f"{_factor(1 / factor)} times too small"


def _factor(factor: float) -> str:
    return f"{factor:.10g}" if factor >= 100 else f"{factor:.3g}"
