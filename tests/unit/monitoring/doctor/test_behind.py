"""When is an unread log a fault?"""

import pytest

from models.finding import Level
from monitoring.doctor.behind import behind


@pytest.mark.parametrize(
    ("age_s", "waiting_s", "runs", "level"),
    [
        (None, None, False, Level.OK),
        (9e6, None, False, Level.OK),
        (9e6, None, True, Level.OK),
        (9e6, 5.0, True, Level.OK),
        (5.0, 9e6, True, Level.OK),
        (40.0, 36.0, True, Level.BAD),
        (36.0, 34.0, True, Level.OK),
        (None, 36.0, True, Level.BAD),
        (None, 1.0, False, Level.WARN),
        (40.0, 36.0, False, Level.WARN),
    ],
)
def test_only_records_that_wait_too_long_beside_an_old_checkpoint_are_a_fault(
    age_s: float | None, waiting_s: float | None, runs: bool, level: Level
) -> None:
    found = behind(age_s=age_s, waiting_bytes=100, waiting_s=waiting_s, runs=runs, allowed_s=35.0)
    assert found.level is level
    assert bool(found.advice) == (level is not Level.OK)
