"""Which label belongs to which prediction? As SQL over the views `requests` and `feedback`; ● no I/O.

Laws
- A label belongs to the answered row that has its request id and row, however late it came, also where it came first.
- Of several labels of one row the one with the latest `observed_at` counts; of equal ones the one that arrived last, then the
  one with the highest (writer, epoch, seq). The order in which they are read decides nothing.
- received = joined + unknown + duplicate + changed: each row's labels count once; of the others, those that say what
  another one says are duplicates, those that say something else are changes.
- A null label says that the outcome can never be known: the row waits no more, and trains nothing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

LABEL_COLUMNS = ("label_number", "label_text", "label_bool")

# One label a row of a request. `arg_max` over a struct keeps the nulls in it.
LABELS = """
SELECT request_id, "row", unnest(newest) FROM (
  SELECT request_id, "row", arg_max(
    {'label_number': label_number, 'label_text': label_text, 'label_bool': label_bool, 'observed_at': observed_at},
    {'observed': observed_at, 'arrived': arrived_at, 'writer': writer, 'epoch': epoch, 'seq': seq}
  ) AS newest
  FROM feedback GROUP BY request_id, "row")
"""

_KNOWN = "coalesce(label_number IS NOT NULL OR label_text IS NOT NULL OR label_bool IS NOT NULL, false)"


def labelled(kinds: Collection[str]) -> str:
    """Answered rows whose label is known, all columns of `requests`, then the label's; `kinds`: which LABEL_COLUMNS occur.

    `label` has the type of the labels; where they are of several kinds it is their text.
    """
    used = [name for name in LABEL_COLUMNS if name in kinds] or ["label_number"]
    label = used[0] if len(used) == 1 else f"coalesce({', '.join(f'{name}::VARCHAR' for name in used)})"
    return f"""
SELECT r.*, {label} AS label, label_number, label_text, label_bool, observed_at
FROM requests r JOIN labels l ON r.request_id = l.request_id AND r."row" = l."row"
WHERE r.outcome = 'answered' AND {_KNOWN}
"""


# Rows of one version's answered requests, and what became of their labels.
BY_VERSION = f"""
SELECT model, version, count(*) AS answered, count(l.request_id) AS joined,
  count(*) FILTER (l.request_id IS NOT NULL AND NOT {_KNOWN}) AS unknowable,
  median(epoch_us(l.observed_at) - epoch_us(r.arrived_at)) / 1e6 AS delay_s
FROM requests r LEFT JOIN labels l ON r.request_id = l.request_id AND r."row" = l."row"
WHERE r.outcome = 'answered' AND r."row" >= 0 AND {{where}}
GROUP BY model, version ORDER BY model, version
"""

# Every label that was sent, by what became of it. `whole`: requests that were answered without rows by value.
TOTALS = """
WITH keys AS (
  SELECT request_id, "row", count(*) AS records,
    count(DISTINCT {'n': label_number, 't': label_text, 'b': label_bool}) AS said
  FROM feedback GROUP BY request_id, "row"),
rows_answered AS (
  SELECT request_id, "row", count(*) AS times FROM requests WHERE outcome = 'answered' AND "row" >= 0 GROUP BY ALL),
asked AS (
  SELECT request_id, bool_or(outcome = 'answered') AS answered,
    coalesce(max("rows") FILTER (outcome = 'answered' AND "row" = -1), 0) AS whole
  FROM requests SEMI JOIN keys USING (request_id) GROUP BY request_id),
fates AS (
  SELECT records, said, times, CASE
    WHEN times IS NOT NULL THEN 'joined'
    WHEN asked.request_id IS NULL THEN 'no_such_request'
    WHEN NOT answered THEN 'not_answered'
    WHEN keys."row" < whole THEN 'no_values'
    ELSE 'no_such_row' END AS fate
  FROM keys LEFT JOIN rows_answered USING (request_id, "row") LEFT JOIN asked USING (request_id))
SELECT fate, count(*) AS labels, sum(records - said) AS duplicate, sum(said - 1) AS changed,
  count(*) FILTER (times > 1) AS repeated
FROM fates GROUP BY fate
"""


@dataclass(frozen=True, slots=True)
class VersionLabels:
    """Answered rows of one version; `joined` holds the unknowable, `delay_s` is the median from request to observation."""

    model: str
    version: str
    answered: int
    joined: int
    unknowable: int
    delay_s: float | None

    @property
    def waiting(self) -> int:
        return self.answered - self.joined

    @property
    def share(self) -> float:
        """Of the answered rows, those whose label is known."""
        return (self.joined - self.unknowable) / self.answered


@dataclass(frozen=True, slots=True)
class LabelReport:
    """What became of every label that was sent. `repeated`: joined ones whose request id was used more than once."""

    received: int
    joined: int
    duplicate: int
    changed: int
    unknown: dict[str, int]
    repeated: int
    versions: tuple[VersionLabels, ...]

    def as_json(self) -> dict[str, Any]:
        """The object of `plumbline log labels --json`."""
        return {
            "received": self.received,
            "joined": self.joined,
            "duplicate": self.duplicate,
            "changed": self.changed,
            "unknown": self.unknown,
            "repeated": self.repeated,
            "versions": [
                {
                    "model": one.model,
                    "version": one.version,
                    "answered": one.answered,
                    "joined": one.joined,
                    "unknowable": one.unknowable,
                    "waiting": one.waiting,
                    "labelled_share": one.share,
                    "delay_s_median": one.delay_s,
                }
                for one in self.versions
            ],
        }


def report(totals: Sequence[Sequence[Any]], versions: Sequence[Sequence[Any]]) -> LabelReport:
    """Of the rows that TOTALS and BY_VERSION gave."""
    labels = {fate: n for fate, n, *_ in totals}
    joined = labels.pop("joined", 0)
    duplicate, changed, repeated = (sum(int(row[place]) for row in totals) for place in (2, 3, 4))
    return LabelReport(
        received=joined + sum(labels.values()) + duplicate + changed,
        joined=joined,
        duplicate=duplicate,
        changed=changed,
        unknown=dict(sorted(labels.items())),
        repeated=repeated,
        versions=tuple(VersionLabels(*row) for row in versions),
    )
