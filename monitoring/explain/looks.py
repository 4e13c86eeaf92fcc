"""What a change of a column can look like: the outcomes of recognition, each with what is needed to say it and to undo it.

Law: `Unrecognised` is an outcome like the others; nothing is named that was not seen to fit.
"""

import msgspec


class Look(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag_field="looks"):
    """`share` of the column's rows (or of the rows of the segment) that are hit."""

    share: float = 1.0


class Unit(Look, frozen=True, gc=False, tag="unit"):
    """Numbers in another unit: `factor` times too large (or too small, below 1); a factor that units have."""

    factor: float


class Temperature(Look, frozen=True, gc=False, tag="temperature"):
    """Fahrenheit for Celsius, or the other way round; `came` as."""

    came: str
    expected: str


class Negated(Look, frozen=True, gc=False, tag="sign_flipped"):
    """The sign is the other one."""


class Swapped(Look, frozen=True, gc=False, tag="swapped"):
    """Holds what another column should, and the other way round."""

    other: str


class Frozen(Look, frozen=True, gc=False, tag="constant"):
    """One value, whatever happens."""

    value: str


class Nulls(Look, frozen=True, gc=False, tag="null_burst"):
    """Null, or not a number, more often than at training: in `now` of the rows; `share`: of those that were not so then."""

    what: str
    trained: float
    now: float


class Missing(Look, frozen=True, gc=False, tag="column_missing"):
    """The feature does not come at all in these rows, which are refused."""


class Refused(Look, frozen=True, gc=False, tag="refused_values"):
    """Values that the contract refuses: null where none may be, NaN, or another type."""

    what: str


class NewCategory(Look, frozen=True, gc=False, tag="new_category"):
    """Texts that training did not have; the others come as before."""

    names: tuple[str, ...]


class Renamed(Look, frozen=True, gc=False, tag="renamed"):
    """A category comes by a new name: `old` vanished, and `new` has its share."""

    old: str
    new: str


class Respelt(Look, frozen=True, gc=False, tag="respelt"):
    """All new texts are old ones in other letters or with spaces; then they fit."""

    example: str


class Merged(Look, frozen=True, gc=False, tag="merged"):
    """A category vanished, and another one grew by its share."""

    old: str
    into: str


class Vanished(Look, frozen=True, gc=False, tag="vanished"):
    """A category no longer comes; the others keep their proportions."""

    category: str
    trained: float


class Weighted(Look, frozen=True, gc=False, tag="more_of"):
    """A category's share changed; the others keep their proportions."""

    category: str
    trained: float
    now: float


class TrueShare(Look, frozen=True, gc=False, tag="true_share"):
    """A bool is true in another share of the rows; `inverted`: in as many as it was false, which may also be chance."""

    trained: float
    now: float
    inverted: bool = False


class Scaled(Look, frozen=True, gc=False, tag="scaled"):
    """Multiplied by a factor that no unit has; `shift` of the mean in σ of training."""

    factor: float
    shift: float


class Offset(Look, frozen=True, gc=False, tag="offset"):
    """A number was added; `shift` is the same in σ of training."""

    by: float
    shift: float


class Shifted(Look, frozen=True, gc=False, tag="shifted"):
    """Moved by `shift` σ, and too little to tell whether by a factor or by a number added."""

    shift: float


class Spread(Look, frozen=True, gc=False, tag="spread"):
    """Wider or narrower around the same middle."""

    factor: float


class Stretched(Look, frozen=True, gc=False, tag="stretched"):
    """Multiplied and moved at once: the present value is `factor` × the right one + `by`."""

    factor: float
    by: float


class Clipped(Look, frozen=True, gc=False, tag="clipped"):
    """Nothing beyond a limit any more: what was there comes as the limit."""

    at: float
    end: str


class Rounded(Look, frozen=True, gc=False, tag="rounded"):
    """Only multiples of a step."""

    step: float


class Unrecognised(Look, frozen=True, gc=False, tag="unrecognised"):
    """Nothing in the catalogue fits, or there are too few rows to tell."""

    rows: int


AnyLook = (
    Unit
    | Temperature
    | Negated
    | Swapped
    | Frozen
    | Nulls
    | Missing
    | Refused
    | NewCategory
    | Renamed
    | Respelt
    | Merged
    | Vanished
    | Weighted
    | TrueShare
    | Scaled
    | Offset
    | Shifted
    | Spread
    | Stretched
    | Clipped
    | Rounded
    | Unrecognised
)
