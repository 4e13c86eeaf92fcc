"""What a check of one column in one window can come to; silence is not good news, so it has a type of its own."""

import msgspec

WHOLE_ROW = "request"  # the side of a fault that no single column has
DRIFT = "drift"
LABEL = "label"  # the side of what labels say


class _Measured(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The numbers of a check that could be made.

    `n`: rows of the window; `statistic` with `df` degrees of freedom (drift: G; skew: the present rate, df 0);
    `effect`, `lower_bound` and `tolerance` in the unit of the check (drift: PSI; skew: share of rows; labels: share
    of the reference's loss); `significant`:
    p_value is below its share of the budget. Of skew also `low` to `high`, what the present rate can be (exact, each side at
    the confidence of the rules), the `trained` rate, and `what`: the category that collapsed.
    """

    n: int
    statistic: float
    df: int
    p_value: float
    significant: bool
    effect: float
    lower_bound: float
    tolerance: float
    low: float | None = None
    high: float | None = None
    trained: float | None = None
    what: str = ""


class Stable(_Measured, frozen=True, gc=False, tag="stable"):
    """Not shown to differ from training by more than the tolerance."""


class Drifted(_Measured, frozen=True, gc=False, tag="drifted"):
    """Differs: significant, and its lower bound is above the tolerance."""


class TooFewSamples(msgspec.Struct, frozen=True, gc=False, tag="too_few_samples"):
    """Nothing can be said yet."""

    have: int
    need: int


class NoBaseline(msgspec.Struct, frozen=True, gc=False, tag="no_baseline"):
    """The version was made without training data: there is nothing to compare `n` rows with."""

    n: int


Verdict = Stable | Drifted | TooFewSamples | NoBaseline


def word_of(verdict: Verdict) -> str:
    """As it is called wherever it is told: its tag."""
    return str(verdict.__struct_config__.tag)


class Check(msgspec.Struct, frozen=True, gc=False, order=True):
    """What was checked: `side` feature, output or request; `test` drift or a kind of skew; `segment` "" for all rows."""

    side: str
    column: str
    test: str
    window_s: int
    segment: str = ""

    @property
    def id(self) -> str:
        whole = f"{self.side}|{self.column}|{self.test}|{self.window_s}"
        return f"{whole}|{self.segment}" if self.segment else whole


class Finding(msgspec.Struct, frozen=True, gc=False):
    """A check and what it came to; `place` is the column's number in the reference, −1 for the whole row."""

    check: Check
    verdict: Verdict
    place: int
