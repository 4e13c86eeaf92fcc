"""What was done to a number, as `factor` × the right value + `by`, and how is it put back?

Law: `put_back(look, factor × x + by) == x` for every look that has such a pair; the others cannot be undone, and say so by None.
"""

import numpy as np
import numpy.typing as npt

from monitoring.explain.looks import AnyLook, Negated, Offset, Scaled, Stretched, Temperature, Unit

FAHRENHEIT = (1.8, 32.0)
CELSIUS = (1 / 1.8, -32 / 1.8)

Floats = npt.NDArray[np.float64]


def affine(look: AnyLook) -> tuple[float, float] | None:
    """(factor, by); None where the change is no such thing."""
    match look:
        case Unit(factor=factor) | Scaled(factor=factor):
            return factor, 0.0
        case Temperature(came=came):
            return FAHRENHEIT if came == "°F" else CELSIUS
        case Negated():
            return -1.0, 0.0
        case Offset(by=by):
            return 1.0, by
        case Stretched(factor=factor, by=by):
            return factor, by
        case _:
            return None


def put_back(look: AnyLook, values: Floats) -> Floats | None:
    """The values as they should have come."""
    pair = affine(look)
    return None if pair is None else (values - pair[1]) / pair[0]
