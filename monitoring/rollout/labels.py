"""Which of a rollout's answers were wrong, once their labels are known? Answers and labels in, counts out.

Laws
- A label belongs to the minute in which it arrived, however long ago its request was answered; it counts once, and the first
  that is known counts: what was bet on it cannot be taken back.
- One row a request is a witness, as for the predictions, so the labels of its other rows are not looked at.
- Neither the borders of chunks nor the order of writers show: within a minute all answers are remembered before a label is
  joined, in the order of their times.
- Labels of minutes in which nothing is compared (an arm had no request, the share changed) wait for the next one in which
  something is.
- At most `answers_max` answers an arm are remembered, the newest; a label that comes later than that is `unjoined`, as are
  labels of other models and of callers that were sent to no arm.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
import numpy.typing as npt

from models.contract import Kind
from monitoring.rollout.document import LabelGuard
from service.featurelog.cells import is_sound, join
from service.featurelog.record import Block, Feedback, Request, SchemaColumn, row_numbers

ANSWERS_MAX = 200_000  # some 30 MB; of stable, five hours at 600 requests a minute
LABELLED, WRONG = 0, 1
ARMS = ("canary", "even", "odd")  # stable by bucket, as the collector has it

Value = float | str
Pairs = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one row of a request was answered; `arm`: place in ARMS."""

    at_us: int
    request_id: str
    row: int
    arm: int
    value: Value


@dataclass(slots=True)
class Labels:
    """The join of one rollout; owned and changed by its collector. `pending`: shape (arms, 2), counted and not yet told."""

    guard: LabelGuard
    answers_max: int = ANSWERS_MAX  # of canary, and of stable
    unjoined: int = 0
    pending: Pairs = field(default_factory=lambda: np.zeros((len(ARMS), 2), dtype=np.int64))
    _canary: dict[tuple[str, int], Answer] = field(default_factory=dict)
    _stable: dict[tuple[str, int], Answer] = field(default_factory=dict)

    def answer(self, request: Request, outputs: Sequence[SchemaColumn], arm: int) -> Answer | None:
        """What the request's witness was answered; None where its version has no such output."""
        place = next((i for i, column in enumerate(outputs) if column.name == self.guard.output), None)
        block = request.outputs
        if place is None or block is None or not block.n or not is_sound(block, outputs):
            return None
        row = witness(request.request_id, block.n)
        value = _value(block, outputs, row, place)
        if value is None:
            return None
        return Answer(request.at_us, request.request_id, row_numbers(request, block.n)[row], arm, value)

    def close(self, answers: Sequence[Answer], labels: Sequence[Feedback]) -> None:
        """Takes in a minute."""
        for answer in sorted(answers, key=lambda one: (one.at_us, one.request_id, one.arm)):
            held = self._canary if ARMS[answer.arm] == "canary" else self._stable
            held.setdefault((answer.request_id, answer.row), answer)
            if len(held) > self.answers_max:
                del held[next(iter(held))]
        for label in sorted(labels, key=lambda one: (one.at_us, one.request_id, one.row, repr(one.label))):
            self._join(label)

    def take(self) -> Pairs:
        """What was counted since it was taken last."""
        taken, self.pending = self.pending, np.zeros_like(self.pending)
        return taken

    def _join(self, label: Feedback) -> None:
        key = label.request_id, label.row
        held = self._canary if key in self._canary else self._stable
        answer = held.get(key)
        if answer is None:
            self.unjoined += 1
            return
        missed = wrong(answer.value, label.label, self.guard.off_by)
        if missed is not None:
            del held[key]
            self.pending[answer.arm] += (1, missed)


def witness(request_id: str, n: int) -> int:
    """The place of the row that stands for the request, the same whenever it is read."""
    return crc32(request_id.encode()) % n


def wrong(answer: Value, label: float | int | str | bool | None, off_by: float) -> bool | None:
    """Did the answer miss? None where the label is not known, or is text and the answer is not, or the other way."""
    if label is None or isinstance(label, str) != isinstance(answer, str):
        return None
    if isinstance(label, str) or isinstance(answer, str):
        return answer != label
    return not abs(answer - label) <= off_by  # a NaN is a miss


def _value(block: Block, outputs: Sequence[SchemaColumn], row: int, place: int) -> Value | None:
    joined = join([block], [block.n], outputs)
    if joined.null is not None and joined.null[place, row]:
        return None
    column, cell = outputs[place], int(joined.cells[place, row])
    if column.kind is Kind.STRING:
        places, texts = joined.text.get(place, ([], []))
        if row in places:
            return texts[places.index(row)]
        categories = column.categories or ()
        return categories[cell] if 0 <= cell < len(categories) else None
    return float(np.int64(cell).view(np.float64)) if column.kind is Kind.FLOAT else float(cell)
