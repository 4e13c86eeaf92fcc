"""P5: what fails inspection or its trial is never routable; who serves goes on serving, and is no larger for it."""

from pathlib import Path

import pytest

from tests.hostile.table import ABSURD, CUT, OUTSIDE, RENAMED, TRIED
from tests.processes import home
from tests.promises.hostile import GROWN_MIB_MAX, offer

SOME = [*OUTSIDE[::8], *ABSURD[::8], *RENAMED[::5], *CUT[::32], *TRIED[::4]]  # all: `python -m tests.promises.hostile`


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_hostile_versions_are_refused_and_the_one_before_answers_throughout(tmp_path: Path) -> None:
    figures = offer(home(tmp_path), SOME, flipped=2)
    print(figures)
    assert figures.unwanted == ()
    assert figures.answered > figures.offered
    assert figures.after_mib - figures.before_mib < GROWN_MIB_MAX
