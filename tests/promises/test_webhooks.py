"""P6, row by row: whatever a receiver does, one incident is one id, until it says 2xx. The long way: `python -m
tests.promises.webhooks`.
"""

from pathlib import Path

import pytest

from tests.promises.webhooks.row import Row, Seen
from tests.promises.webhooks.rows import ROWS


@pytest.mark.integration
@pytest.mark.parametrize("row", [pytest.param(row, id=row.fault) for row in ROWS])
def test_one_incident_is_one_id_delivered_until_it_is_taken(row: Row, tmp_path: Path) -> None:
    assert row.verdict(row.run(tmp_path)) == []


def test_a_row_that_loses_doubles_or_forges_anything_has_not_held() -> None:
    row = Row("x", "y", lambda home: Seen(1), posts=1)
    good = Seen(incidents=1, posts=1, ids=1, taken=1)
    assert row.verdict(good) == []
    for bad in (
        Seen(incidents=1, posts=1, ids=0, taken=1),
        Seen(incidents=1, posts=2, ids=2, taken=2),
        Seen(incidents=1, posts=2, ids=1, taken=2),
        Seen(incidents=1, posts=1, ids=1, taken=0),
        Seen(incidents=1, posts=1, ids=1, taken=1, pending=1),
        Seen(incidents=1, posts=1, ids=1, taken=1, broken=["something else"]),
    ):
        assert row.verdict(bad) != []
