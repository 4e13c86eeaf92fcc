"""Do the counters of a running service say what its log says? ● decides, reads nothing.

The service goes on while its log is read, so its counters are taken before and after: what the log holds lies between them.
A worker that is killed takes what it had not yet published: the log may hold more than the counters, never less.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

_SAMPLE = re.compile(r"^plumbline_log_(records|dropped)_total\{([^}]*)\} (\S+)", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')

Counts = Counter[tuple[str, ...]]
"""("logged", outcome) and ("dropped", outcome, reason)."""


def counters_of(page: str) -> Counts:
    """What a page of `/metrics` counts of the log."""
    found: Counts = Counter()
    for family, labels, value in _SAMPLE.findall(page):
        named = dict(_LABEL.findall(labels))
        key = ("logged", named["outcome"]) if family == "records" else ("dropped", named["outcome"], named["reason"])
        found[key] += int(float(value))
    return found


def counts_of(logged: Mapping[str, int], dropped: Mapping[str, Mapping[str, int]]) -> Counts:
    """The same of the log."""
    found: Counts = Counter({("logged", outcome): n for outcome, n in logged.items()})
    found.update({("dropped", outcome, reason): n for outcome in dropped for reason, n in dropped[outcome].items()})
    return found


def differences(before: Counts, found: Counts, after: Counts) -> Iterable[str]:
    """What the service counted and the log does not hold."""
    for key in sorted({*before, *found}):
        if found[key] < before[key]:
            yield f"the service counts {' '.join(key)} {before[key]}, the log has {found[key]}"
        elif key[0] == "dropped" and found[key] > after[key]:
            yield f"the log has {' '.join(key)} {found[key]}, the service counts {after[key]}"


def behind(found: Counts, after: Counts) -> int:
    """Records of the log that the counters do not know: of workers that were killed before they published."""
    return sum(max(0, n - after[key]) for key, n in found.items() if key[0] == "logged")
