"""How long is `"5m"`? Lengths of time as settings write them."""

import re

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d+)\s*([smhd])")


def seconds(value: object) -> object:
    """`"90s"`, `"5m"`, `"1h"` or `"7d"` as seconds; a number is seconds already."""
    if isinstance(value, str) and (found := _DURATION.fullmatch(value.strip())):
        return int(found[1]) * _UNITS_S[found[2]]
    return value
