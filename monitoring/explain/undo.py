"""What was done to a number, as `factor` × the right value + `by`: how it is recognised, and how it is put back.

Law: a look without such a pair cannot be undone value by value, and says so by None.
"""

from monitoring.explain.looks import AnyLook, Negated, Offset, Scaled, Stretched, Temperature, Unit

FAHRENHEIT = (1.8, 32.0)
CELSIUS = (1 / 1.8, -32 / 1.8)


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
