"""From an incident's counts and sample to its story: the one call that the fold makes.

Law: a function of what the log said in the minutes [first, last]; a replay of those minutes tells the same story.
"""

from collections.abc import Sequence

import numpy as np

from models.contract import Kind
from monitoring.explain.arms import arms_hit, cause_of
from monitoring.explain.columns import FAULT_MIN, Told, columns_told, inside
from monitoring.explain.fit import P_MIN, fit
from monitoring.explain.looks import Missing, Refused, Swapped, Unrecognised
from monitoring.explain.sample import Rows
from monitoring.explain.scene import Arm, Scene, part, scene_of, stretches_of, trained
from monitoring.explain.since import Since as Change
from monitoring.explain.since import Stretch, since
from monitoring.explain.story import (
    ALL_ROWS,
    COLUMNS_MAX,
    EXAMPLES_MAX,
    ColumnStory,
    Example,
    HeldRow,
    RowFault,
    Segment,
    Since,
    Story,
)
from monitoring.explain.values import BEFORE_ROWS_MIN, numbers
from monitoring.explain.where import Found, bins, segment, segment_of
from monitoring.skew import WHOLE_ROW
from monitoring.window import MINUTE_S

CORRELATED = 0.5  # of ranks, in the rows before the change
SAME_ROWS = 0.8  # correlation of being hit


def tell(arms: Sequence[Arm], places: Sequence[int], first: int, last: int) -> Story | None:
    """The story of a breach of these columns (worst first, -1 the whole row) of the arms that are `mine`; None of nothing."""
    mine = [arm for arm in arms if arm.mine]
    if not mine or not places:
        return None
    reference = mine[0].reference
    stretches = stretches_of(mine, reference, first, last)
    worst = [Stretch(s.first, s.minutes, part(reference, s.counts, places[0])) for s in stretches]
    if not worst:
        return None
    change = since(worst, trained(reference, places[0], np.sum([s.counts for s in stretches], axis=0)))
    if change is None:
        return None
    scene = scene_of(mine, reference, stretches, change, first, last)
    watched = [place for place in dict.fromkeys(places) if place >= 0]
    features = [place for place in watched if place < reference.features]
    told = columns_told(scene, features or watched)
    where = _where(scene, told[0], frozenset(watched)) if told else None
    if where is not None:
        here = [rows.at(bins(rows, reference, where.place) == where.bin) for rows in (scene.before, scene.now)]
        told[0] = inside(scene, told[0].place, here[0], here[1], told[0])
    examples = _examples(scene, told)
    hits = arms_hit(arms, reference.columns[places[0]].name if places[0] >= 0 else "", change.minute, first, last)
    return Story(
        columns=tuple(_column_story(scene, told, i) for i in range(len(told))),
        row_faults=_row_faults(scene) if -1 in places else (),
        since=_since(change),
        segment=None if where is None else _segment(scene, where),
        arms=hits,
        moved_with_it=_outputs(scene) if features else (),
        cause=cause_of(bool(features), hits, mine[0].version),
        examples=tuple(
            Example(str(examples.ids[i]), int(examples.numbers[i]), int(examples.at_us[i]) / 1e6)
            for i in range(examples.n)
        ),
        rows=tuple(_held(examples, i) for i in range(examples.n)),
    )


def _row_faults(scene: Scene) -> tuple[RowFault, ...]:
    counted = ((what, scene.reference.extra(scene.counts, word)) for what, word in WHOLE_ROW.items())
    shares = ((what, rows / max(1, rows, scene.came)) for what, rows in counted)
    return tuple(RowFault(what, round(share, 3)) for what, share in shares if share >= FAULT_MIN)


def _segment(scene: Scene, found: Found) -> Segment:
    column = scene.reference.columns[found.place]
    return Segment(column.name, column.labels()[found.bin])


def _where(scene: Scene, told: Told, watched: frozenset[int]) -> Found | None:
    """The segment that the first column's change is of; of refused rows no values are held that could tell."""
    if isinstance(told.look, Missing | Refused):
        return None
    if told.hit.size == scene.now.n and 0 < told.hit.sum() < ALL_ROWS * scene.now.n:
        found = segment_of(told.hit, scene.now, scene.reference, watched)
        if found is not None:
            return found
    return segment(scene.before, scene.now, scene.reference, told.place, watched - {told.place})


def _since(change: Change) -> Since:
    at, earliest, latest = (m * MINUTE_S for m in (change.minute, change.earliest, change.latest))
    return Since(at, earliest, latest, change.open)


def _column_story(scene: Scene, told: Sequence[Told], i: int) -> ColumnStory:
    one, reference = told[i], scene.reference
    like, why = "", ""
    for before in told[:i]:
        if why := _why(scene, before, one):
            like = reference.columns[before.place].name
            break
    return ColumnStory(reference.columns[one.place].name, reference.side(one.place), one.look, one.rows, like, why)


def _why(scene: Scene, a: Told, b: Told) -> str:
    """Why two columns are thought to have one cause; "" where they are not."""
    if isinstance(a.look, Swapped) and a.look.other == scene.reference.columns[b.place].name:
        return "swapped"
    if a.look == b.look and not isinstance(a.look, Unrecognised):
        return "alike"
    if min(a.hit.sum(), b.hit.sum()) > 0 and max(a.hit.mean(), b.hit.mean()) < ALL_ROWS:
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


def _outputs(scene: Scene) -> tuple[str, ...]:
    """The outputs that moved as well: features changed, so that is what they must do."""
    reference = scene.reference
    found = []
    for place in range(reference.features, len(reference.columns)):
        expected, seen = trained(reference, place, scene.counts), reference.bins(scene.counts, place)
        if expected.sum() and fit(expected.astype(float), seen.astype(float), float(expected.sum())).p() < P_MIN:
            found.append(reference.columns[place].name)
    return tuple(found[:COLUMNS_MAX])


def _examples(scene: Scene, told: Sequence[Told]) -> Rows:
    """Rows that were hit, those with the lowest hashes: the same ones whoever tells."""
    if not told:
        return scene.now.at(np.zeros(0, dtype=np.intp))
    rows = scene.now.at(told[0].hit) if told[0].hit.size == scene.now.n else scene.now
    return rows.at(np.argsort(rows.hashes, kind="stable")[:EXAMPLES_MAX])


def _held(rows: Rows, place: int) -> HeldRow:
    texts = rows.texts[place] or ()
    return HeldRow(
        cells=tuple(rows.cells[place].tolist()),
        nulls=tuple(np.flatnonzero(rows.nulls[place]).tolist()),
        texts=tuple((int(column), str(text)) for column, text in texts),
    )
