import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.featurelog.errors import ManifestInvalid
from service.featurelog.manifest import ACCOUNTS_MAX, Account, ArchivedSegment, ArchiveFile, Batch, Manifest
from service.featurelog.record import Ledger

COUNTS = st.dictionaries(st.sampled_from(["answered", "shed"]), st.integers(0, 9), max_size=2)
FILES = st.builds(ArchiveFile, st.text(), st.text(), *[st.integers(0, 99)] * 2, *[st.integers(-9, 9)] * 2, st.text())
ACCOUNTS = st.builds(Account, requests=COUNTS, shadows=st.integers(0, 9), damages=st.lists(st.text()).map(tuple))


def batch(epoch: int, number: int, *, requests: int = 1, dropped: int = 0) -> Batch:
    ledger = Ledger(0, requests + dropped, {}, {}, {"answered": {"no_space": dropped}})
    kept = ArchivedSegment(epoch, number, 10, requests, {"answered": requests})
    file = ArchiveFile(f"requests/date=2024-01-01/{epoch}-{number}", "requests", requests, 5, 0, 0, "l")
    return Batch("w0", (kept,), (file,), Account({"answered": requests}, next_seq=requests, ledger=ledger))


@given(st.builds(Manifest, files=st.lists(FILES).map(tuple), accounts=st.dictionaries(st.text(), ACCOUNTS)))
def test_a_manifest_is_what_was_written(written: Manifest) -> None:
    assert Manifest.decode(written.encode(), "here") == written
    assert Manifest.decode(written.encode(), "here").encode() == written.encode()


@pytest.mark.parametrize("data", [b"", b"[]", b'{"format": 2}', b'{"position": {"w0": [1]}}', b"\xff"])
def test_what_is_no_manifest_is_named_with_its_place(data: bytes) -> None:
    with pytest.raises(ManifestInvalid, match=r"^here: .*, expected .*; nothing was archived"):
        Manifest.decode(data, "here")


def test_fields_of_later_versions_are_ignored() -> None:
    assert Manifest.decode(b'{"format": 1, "of later": 7}', "here") == Manifest()


def test_a_batch_moves_the_position_and_its_account_grows() -> None:
    found = Manifest().with_batch(batch(1, 0)).with_batch(batch(1, 1, requests=3))
    assert found.position == {"w0": (1, 2, 0)}
    assert found.accounts["w0/1"].requests == {"answered": 4}
    assert [file.path for file in found.files] == ["requests/date=2024-01-01/1-0", "requests/date=2024-01-01/1-1"]
    assert found.expected_seq("w0") == 3 and found.expected_seq("w1") is None


def test_segments_that_go_are_counted_and_the_rest_begins_behind_them() -> None:
    full = Manifest().with_batch(batch(1, 0)).with_batch(batch(1, 1))
    found = full.without_segments("w0", full.raw["w0"].kept[:1])
    assert found.raw["w0"].begin == (1, 1) and found.raw["w0"].seq == 1
    assert found.accounts["w0/1"].gone == {"answered": 1}
    assert (found.let_go.segments, found.let_go.segment_bytes) == (1, 10)
    assert full.raw["w0"].begin == (0, 0), "the old manifest stays as it was"


def test_accounts_are_bounded_and_nothing_of_their_sums_is_lost() -> None:
    found, epochs = Manifest(), ACCOUNTS_MAX + 100
    for epoch in range(1, epochs + 1):
        found = found.with_batch(batch(epoch, 0, dropped=epoch))
        found = found.without_segments("w0", found.raw["w0"].kept)
    assert len(found.accounts) <= ACCOUNTS_MAX + 1
    assert sum(account.requests["answered"] for account in found.accounts.values()) == epochs
    assert sum(account.gone["answered"] for account in found.accounts.values()) == epochs
    dropped = [account.ledger.dropped["answered"]["no_space"] for account in found.accounts.values() if account.ledger]
    assert sum(dropped) == sum(range(1, epochs + 1))


def test_the_first_damages_are_kept_as_sentences_and_all_are_counted() -> None:
    one = Account(lost_holes=60, damages=tuple(map(str, range(60))))
    both = one.plus(one)
    assert both.lost_holes == 120 and len(both.damages) == 100
    assert msgspec.json.decode(msgspec.json.encode(both), type=Account) == both
