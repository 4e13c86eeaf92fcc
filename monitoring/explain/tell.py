"""From an incident's counts and sample to its story: the one call that the fold makes.

Laws
- A function of what the log said in the minutes [first, last]: a replay of those minutes tells the same story.
- What can be seen in counts is told from counts (they hold every row, also refused ones); the sample is asked what counts
  cannot show: which values, in which rows, by which requests.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.baseline import SPECIALS, Special
from models.contract import Kind
from monitoring.explain.categories import recognise_categories
from monitoring.explain.fit import Fit, fit
from monitoring.explain.ladder import Ladder
from monitoring.explain.looks import AnyLook, Frozen, Missing, NewCategory, Nulls, Refused, Swapped, Unrecognised
from monitoring.explain.numbers import hit, moved, recognise_numbers
from monitoring.explain.sample import Rows, join
from monitoring.explain.since import Since as Found
from monitoring.explain.since import Stretch, partition, since
from monitoring.explain.story import (
    ALL_ROWS,
    ARMS_MAX,
    COLUMNS_MAX,
    EXAMPLES_MAX,
    ArmStory,
    ColumnStory,
    Example,
    Segment,
    Since,
    Story,
)
from monitoring.explain.target import Target, edges_of, of_baseline, of_rows
from monitoring.explain.where import Found as Segment_
from monitoring.explain.where import bins, segment, segment_of
from monitoring.reference import Extra, Reference
from monitoring.skew import rows_came

MINUTE_S = 60
NOW_ROWS_MIN = 15  # below it the sample begins with the slice in which the change lies
BEFORE_ROWS_MIN = 300  # of rows just before the change, to be held against in place of the baseline
FAULT_MIN = 0.01  # share of rows above training that is worth a word: what skew tolerates
OUTPUT_P_MAX = 1e-4
SPARED = 0.3  # an arm whose change is below this part of the whole one is spared
CORRELATED = 0.5
SAME_ROWS = 0.8
_WORDS = {Special.NULL: "null", Special.NAN: "NaN", Special.NEG_INF: "-inf", Special.POS_INF: "+inf"}

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Tiers = Mapping[int, Mapping[int, Counts]]  # by length of a slice in minutes: counts by number of the slice


class Arm(NamedTuple):
    """What is held of one version and arm."""

    version: str
    arm: str
    mine: bool
    reference: Reference
    tiers: Tiers
    ladder: Ladder | None


class _Scene(NamedTuple):
    """What is looked at: counts since the change, rows before and after it."""

    reference: Reference
    counts: Counts
    came: int
    before: Rows
    now: Rows


class _Told(NamedTuple):
    place: int
    look: AnyLook
    rows: int
    hit: Mask  # of the rows since the change


def tell(arms: Sequence[Arm], places: Sequence[int], first: int, last: int) -> Story | None:
    """The story of a breach of these columns (worst first, -1 the whole row) of the arms that are `mine`; None of nothing."""
    mine = [arm for arm in arms if arm.mine]
    if not mine or not places:
        return None
    reference = mine[0].reference
    stretches = _stretches(mine, reference, first, last)
    change = since(
        [Stretch(s.first, s.minutes, _part(reference, s.counts, places[0])) for s in stretches],
        _baseline(reference, places[0]),
    )
    if change is None:
        return None
    scene = _scene(mine, reference, stretches, change, first, last)
    watched = [place for place in dict.fromkeys(places) if place >= 0]
    features = [place for place in watched if place < reference.features]
    told = _columns(scene, features or watched)
    place = told[0].place if told else -1
    where = _where(scene, told[0], frozenset(watched)) if told else None
    if where is not None:
        here = [rows.at(bins(rows, reference, where.place) == where.bin) for rows in (scene.before, scene.now)]
        told[0] = _inside(scene, place, here[0], here[1], told[0])
    named = None
    if where is not None:
        column = reference.columns[where.place]
        named = Segment(column.name, column.labels()[where.bin])
    hits = _arms(arms, reference.columns[places[0]].name if places[0] >= 0 else "", change.minute, first, last)
    return Story(
        columns=tuple(_column_story(scene, told, i) for i in range(len(told))),
        since=_since(change),
        segment=named,
        arms=hits,
        moved_with_it=_outputs(scene) if features else (),
        cause=_cause(bool(features), hits, mine[0].version),
        examples=_examples(scene, told),
    )


def _where(scene: _Scene, told: _Told, watched: frozenset[int]) -> Segment_ | None:
    """The segment that the first column's change is of; of refused rows no values are held that could tell."""
    if isinstance(told.look, Missing | Refused):
        return None
    if told.hit.size == scene.now.n and 0 < told.hit.mean() < ALL_ROWS:
        found = segment_of(told.hit, scene.now, scene.reference, watched)
        if found is not None:
            return found
    return segment(scene.before, scene.now, scene.reference, told.place, watched - {told.place})


def _since(change: Found) -> Since:
    at, earliest, latest = (m * MINUTE_S for m in (change.minute, change.earliest, change.latest))
    return Since(at, earliest, latest, change.open)


def _stretches(arms: Sequence[Arm], reference: Reference, first: int, last: int) -> list[Stretch]:
    """Whole vectors by slice, over the arms, of slices that lie in the minutes."""
    tiers: dict[int, dict[int, Counts]] = {}
    for arm in arms:
        for minutes, slices in arm.tiers.items():
            held = tiers.setdefault(minutes, {})
            for number, counts in slices.items():
                if first <= number * minutes <= last and counts.size == reference.size:
                    held[number] = held[number] + counts if number in held else counts
    return partition(
        [[Stretch(n * minutes, minutes, counts) for n, counts in held.items()] for minutes, held in tiers.items()]
    )


def _part(reference: Reference, counts: Counts, place: int) -> Counts:
    """A column's bins; of the whole row what became of it."""
    return reference.bins(counts, place) if place >= 0 else counts[int(reference.starts[-1]) :]


def _baseline(reference: Reference, place: int) -> Counts:
    if place >= 0:
        return reference.bins(reference.baseline, place)
    answered = np.zeros(len(Extra), dtype=np.int64)
    answered[Extra.ROWS_ANSWERED] = max((sum(column.counts) for column in reference.columns), default=0)
    return answered


def _scene(
    arms: Sequence[Arm], reference: Reference, stretches: Sequence[Stretch], change: Found, first: int, last: int
) -> _Scene:
    ladders = [arm.ladder for arm in arms if arm.ladder is not None]
    columns = len(reference.columns)
    now = Rows.none(columns)
    for begin in (change.sure, change.minute, change.earliest):  # the surest rows that are enough
        if now.n < NOW_ROWS_MIN:
            now = join([ladder.between(begin, last) for ladder in ladders], columns)
    before = join([ladder.between(first, change.earliest - 1) for ladder in ladders], columns)
    after = [stretch.counts for stretch in stretches if stretch.first >= change.minute]
    counts = np.sum(after, axis=0) if after else np.zeros(reference.size, dtype=np.int64)
    return _Scene(reference, counts, rows_came(reference, counts), before, now)


def _columns(scene: _Scene, places: Sequence[int]) -> list[_Told]:
    told = [_column(scene, place) for place in places[:COLUMNS_MAX]]
    for one in told[:1]:
        if (other := _swapped(scene, one)) is not None:
            told = _paired(scene, told, one, other)
    return sorted(told, key=lambda one: isinstance(one.look, Unrecognised))


def _column(scene: _Scene, place: int) -> _Told:
    fault = _fault(scene, place)
    if fault is not None:
        return _Told(place, fault, scene.came, _fault_hit(scene, place, fault))
    return _of_rows(scene, place, scene.before, scene.now)


def _of_rows(scene: _Scene, place: int, before: Rows, now: Rows) -> _Told:
    reference, everything = scene.reference, np.ones(now.n, dtype=np.bool_)
    column = reference.columns[place]
    if column.kind is Kind.STRING:
        look = _of_categories(reference, place, before, now)
        hits = bins(now, reference, place) == Special.UNSEEN if isinstance(look, NewCategory) else everything
        return _Told(place, look, now.n, hits)
    values, there = numbers(now, reference, place)
    target = _target(reference, place, before)
    if target is None:
        return _Told(place, Unrecognised(rows=now.n), now.n, everything)
    look, _ = recognise_numbers(values, target, column.std or 0.0)
    everything[there] = hit(look, values, target)
    everything[~there] = False
    return _Told(place, look, int(there.sum()), everything)


def numbers(rows: Rows, reference: Reference, place: int) -> tuple[Floats, Mask]:
    """The finite values of a column, and in which rows they are."""
    cells = rows.cells[:, place].copy()
    values = cells.view("<f8") if reference.columns[place].kind is Kind.FLOAT else cells.astype(np.float64)
    there = np.isfinite(values) & ~rows.nulls[:, place]
    return values[there], there


def _target(reference: Reference, place: int, before: Rows) -> Target | None:
    """What training held; where the rows just before the change already differ from it, those."""
    trained = of_baseline(reference.columns[place])
    values, _ = numbers(before, reference, place)
    if values.size < BEFORE_ROWS_MIN:
        return trained
    return of_rows(values, edges_of(reference.columns[place]))


def _of_categories(reference: Reference, place: int, before: Rows, now: Rows) -> AnyLook:
    column = reference.columns[place]
    expected = np.array(column.counts[SPECIALS:], dtype=np.float64)
    rows = float(expected.sum())
    if before.n >= BEFORE_ROWS_MIN:
        expected = np.bincount(bins(before, reference, place), minlength=column.bins)[SPECIALS:].astype(np.float64)
        rows = float(expected.sum())
    index = bins(now, reference, place)
    seen = np.bincount(index, minlength=column.bins)[SPECIALS:].astype(np.float64)
    unseen: dict[str, int] = {}
    for i in np.flatnonzero(index == Special.UNSEEN).tolist():
        text = next((text for at, text in now.texts[i] if at == place), "")
        unseen[text] = unseen.get(text, 0) + 1
    look, _ = recognise_categories(column.categories or (), expected, seen, unseen, rows)
    return look


def _fault(scene: _Scene, place: int) -> AnyLook | None:
    """What counts show that values do not: absent, another type, null, not a number; the largest of them."""
    reference = scene.reference
    seen, trained = reference.bins(scene.counts, place), reference.bins(reference.baseline, place)
    came = scene.came if place < reference.features else int(seen.sum())
    best: tuple[float, AnyLook] | None = None
    for special in (Special.ABSENT, Special.WRONG_TYPE, *_WORDS):
        before = float(trained[special] / max(1, trained.sum()))
        share = float(seen[special] / max(1, came))
        excess = (share - before) / max(1e-9, 1 - before)
        if excess < FAULT_MIN or excess < 4 * (max(before, share) / max(1, came)) ** 0.5:
            continue
        share = min(1.0, round(excess, 2))
        look: AnyLook
        if special is Special.ABSENT:
            look = Missing(share=share)
        elif special is Special.WRONG_TYPE:
            look = Refused(what="another type", share=share)
        else:
            look = Nulls(what=_WORDS[special], trained=round(before, 4), share=share)
        if best is None or excess > best[0]:
            best = (excess, look)
    return None if best is None else best[1]


def _fault_hit(scene: _Scene, place: int, look: AnyLook) -> Mask:
    index = bins(scene.now, scene.reference, place)
    return np.isin(index, list(_WORDS)) if isinstance(look, Nulls) else np.zeros(scene.now.n, dtype=np.bool_)


def _swapped(scene: _Scene, one: _Told) -> int | None:
    """The feature whose values this one holds, and that holds its own."""
    reference, here = scene.reference, one.place
    kind = reference.columns[here].kind
    if (
        here >= reference.features
        or kind is Kind.STRING
        or (not isinstance(one.look, Unrecognised) and _named(one.look))
    ):
        return None
    values, _ = numbers(scene.now, reference, here)
    target = _target(reference, here, scene.before)
    fitting: list[tuple[float, int]] = []
    for other, column in enumerate(reference.columns[: reference.features]):
        if other == here or column.kind is Kind.STRING or target is None:
            continue
        others, _ = numbers(scene.now, reference, other)
        theirs = _target(reference, other, scene.before)
        if theirs is None or min(values.size, others.size) < NOW_ROWS_MIN // 2:
            continue
        crossed, straight = (moved(values, theirs), moved(others, target)), moved(others, theirs)
        if all(_fits(fit_, straight) for fit_ in crossed) and straight.p() < 1e-3:
            fitting.append((sum(fit_.g for fit_ in crossed), other))
    return min(fitting)[1] if fitting else None


def _named(look: AnyLook) -> bool:
    return isinstance(look, Frozen | Missing | Refused | Nulls)


def _fits(crossed: Fit, straight: Fit) -> bool:
    return crossed.p() > 1e-4 or crossed.effect < 0.1 * straight.effect


def _paired(scene: _Scene, told: list[_Told], one: _Told, other: int) -> list[_Told]:
    names = scene.reference.columns
    pair = [
        one._replace(look=Swapped(other=names[other].name), hit=np.ones(scene.now.n, dtype=np.bool_)),
        _Told(other, Swapped(other=names[one.place].name), one.rows, np.ones(scene.now.n, dtype=np.bool_)),
    ]
    return [*pair, *(rest for rest in told if rest.place not in (one.place, other))]


def _inside(scene: _Scene, place: int, before: Rows, now: Rows, otherwise: _Told) -> _Told:
    """The look of the rows of a segment alone."""
    within = _of_rows(scene, place, before, now)
    if isinstance(within.look, Unrecognised):
        return otherwise
    return within._replace(hit=np.isin(scene.now.hashes, now.hashes[within.hit]))


def _column_story(scene: _Scene, told: Sequence[_Told], i: int) -> ColumnStory:
    one, reference = told[i], scene.reference
    like, why = "", ""
    for before in told[:i]:
        if why := _why(scene, before, one):
            like = reference.columns[before.place].name
            break
    return ColumnStory(reference.columns[one.place].name, reference.side(one.place), one.look, one.rows, like, why)


def _why(scene: _Scene, a: _Told, b: _Told) -> str:
    """Why two columns are thought to have one cause; "" where they are not."""
    if isinstance(a.look, Swapped) and a.look.other == scene.reference.columns[b.place].name:
        return "swapped"
    if a.look == b.look and not isinstance(a.look, Unrecognised):
        return "alike"
    if min(a.hit.sum(), b.hit.sum()) > 0 and max(a.hit.mean(), b.hit.mean()) < 0.97:
        joint = np.corrcoef(a.hit, b.hit)[0, 1]
        if joint >= SAME_ROWS:
            return "same rows"
    kinds = [scene.reference.columns[one.place].kind for one in (a, b)]
    if Kind.STRING in kinds or scene.before.n < BEFORE_ROWS_MIN:
        return ""
    sides = [numbers(scene.before, scene.reference, one.place) for one in (a, b)]
    both = sides[0][1] & sides[1][1]
    ranks = [np.argsort(np.argsort(values[both[there]])) for values, there in sides]
    if both.sum() < BEFORE_ROWS_MIN or min(rank.std() for rank in ranks) == 0:
        return ""
    return "correlated" if abs(np.corrcoef(ranks[0], ranks[1])[0, 1]) >= CORRELATED else ""


def _outputs(scene: _Scene) -> tuple[str, ...]:
    """The outputs that moved as well: features changed, so that is what they must do."""
    reference = scene.reference
    found = []
    for place in range(reference.features, len(reference.columns)):
        expected, seen = reference.bins(reference.baseline, place), reference.bins(scene.counts, place)
        if expected.sum() and fit(expected.astype(float), seen.astype(float), float(expected.sum())).p() < OUTPUT_P_MAX:
            found.append(reference.columns[place].name)
    return tuple(found[:COLUMNS_MAX])


def _arms(arms: Sequence[Arm], name: str, minute: int, first: int, last: int) -> tuple[ArmStory, ...]:
    """In which arms the column changed, by their own references; `first` and `last` bound what is counted."""
    found: list[tuple[Arm, Fit | None]] = []
    for arm in arms:
        place = next((j for j, column in enumerate(arm.reference.columns) if column.name == name), None)
        after = [s.counts for s in _stretches([arm], arm.reference, first, last) if s.first >= minute]
        if place is None or not after:
            found.append((arm, None))
            continue
        seen = arm.reference.bins(np.sum(after, axis=0), place).astype(float)
        expected = arm.reference.bins(arm.reference.baseline, place).astype(float)
        found.append((arm, fit(expected, seen, float(expected.sum())) if seen.sum() >= NOW_ROWS_MIN else None))
    whole = max((f.effect for arm, f in found if f is not None and arm.mine), default=0.0)
    return tuple(
        ArmStory(arm.version, arm.arm, None if f is None else _hit_arm(f, whole), 0 if f is None else round(f.n))
        for arm, f in found[:ARMS_MAX]
    )


def _hit_arm(seen: Fit, whole: float) -> bool | None:
    least, most = seen.bounds(0.999)
    if most < SPARED * whole:
        return False
    return True if least > 0 else None


def _cause(features: bool, arms: Sequence[ArmStory], version: str) -> str:
    """What arrives changed: data. Only outputs did, and only of this version: version."""
    if features:
        return "data"
    others = [arm for arm in arms if arm.version != version]
    return "version" if others and all(arm.hit is False for arm in others) else "unknown"


def _examples(scene: _Scene, told: Sequence[_Told]) -> tuple[Example, ...]:
    """Rows that were hit, those with the lowest hashes: the same ones whoever tells."""
    if not told:
        return ()
    rows = scene.now.at(told[0].hit) if told[0].hit.size == scene.now.n else scene.now
    order = np.argsort(rows.hashes, kind="stable")[:EXAMPLES_MAX]
    return tuple(Example(str(rows.ids[i]), int(rows.numbers[i]), int(rows.at_us[i]) / 1e6) for i in order)
