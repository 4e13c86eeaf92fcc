"""How is a rule made quick without becoming another one: its times are divided, its expression stays.

Law: what is divided is `for:`, every range in brackets and every `offset`; no threshold, no metric, no operator.
"""

import re

FACTOR = 120
UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TIME = re.compile(r"(?P<before>\bfor: |\[|\boffset )(?P<n>\d+)(?P<unit>ms|s|m|h|d)\b")


def quick(rules: str) -> str:
    """The text of a rules file, FACTOR times as quick."""
    return _TIME.sub(lambda found: f"{found['before']}{_ms(found) // FACTOR}ms", rules)


def in_ms(rules: str, times: int = 1) -> str:
    """The same text with all times in milliseconds, so many times as long."""
    return _TIME.sub(lambda found: f"{found['before']}{_ms(found) * times}ms", rules)


def _ms(found: re.Match[str]) -> int:
    return int(found["n"]) * UNITS_MS[found["unit"]]
