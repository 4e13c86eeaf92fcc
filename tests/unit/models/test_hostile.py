"""The table of tests/hostile/: what inspection refuses it refuses here, the rest ends in a trial's process."""

import pytest

from models.errors import ArtifactRefused
from models.inspect import inspect
from models.manifest import MODEL
from models.trials import run
from tests.hostile.table import TABLE, Hostile
from tests.trying import LIMITS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("hostile", [h for h in TABLE if h.inspected], ids=lambda hostile: hostile.name)
def test_what_a_graph_says_of_itself_is_refused_before_anything_loads_it(hostile: Hostile) -> None:
    with pytest.raises(ArtifactRefused) as refusal:
        inspect(hostile.files()[MODEL], "m:1")
    sentence = str(refusal.value)
    assert sentence.startswith("m:1") and sentence.endswith("; not loading it")
    assert hostile.expected in sentence


@pytest.mark.parametrize("hostile", [h for h in TABLE if not h.inspected], ids=lambda hostile: hostile.name)
def test_what_only_a_run_can_tell_ends_in_a_process_of_its_own_with_a_reason(hostile: Hostile) -> None:
    refusal = run("m:1", hostile.files(), LIMITS)
    assert refusal is not None
    sentence = str(refusal.error("m:1"))
    assert sentence.startswith("m:1, ") and hostile.expected in sentence


def test_the_table_is_no_shorter_than_it_was() -> None:
    assert len(TABLE) >= 110
    assert len({hostile.name for hostile in TABLE}) == len(TABLE)
