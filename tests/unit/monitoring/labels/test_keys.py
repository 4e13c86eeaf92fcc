import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitoring.labels.keys import request_keys, row_keys

IDS = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=1, max_size=128)


@given(st.lists(IDS, min_size=1, max_size=8))
def test_a_key_follows_from_the_id_alone_whatever_company_it_keeps(ids: list[str]) -> None:
    together = request_keys(ids)
    assert together.tolist() == [int(request_keys([one])[0]) for one in ids]


def test_ids_and_rows_that_differ_have_keys_that_differ_and_lie_evenly() -> None:
    ids = [f"{number:x}" for number in range(20_000)] + [f"request-{number:032d}" for number in range(20_000)]
    keys = request_keys(ids)
    assert len(np.unique(keys)) == len(ids)
    rows = row_keys(np.repeat(keys[:100], 50), np.tile(np.arange(50), 100))
    assert len(np.unique(rows)) == 5000
    shares = np.histogram(keys.astype(np.float64), bins=16, range=(0, 2.0**64))[0] / len(keys)
    assert np.abs(shares - 1 / 16).max() < 0.006
    assert request_keys([]).size == 0
