"""Which environment variables look like settings and are read by nobody?"""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from models.finding import Finding, ok, warn

_EXPECTED = "variables that docs/reference.md names"


def unread(check: str, names: Iterable[str], known: Iterable[str]) -> Iterator[Finding]:
    """One finding for each of these names that is not known, or one for all."""
    known = sorted(known)
    odd = sorted(set(names) - set(known))
    for name in odd:
        near = get_close_matches(name, known, n=1)
        advice = f"unset {name}" + (f"; or did you mean {near[0]}?" if near else "")
        yield warn(check, f"nobody reads {name}", _EXPECTED, advice)
    if not odd:
        yield ok(check, "every variable is read", _EXPECTED)
