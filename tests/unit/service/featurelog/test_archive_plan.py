from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from service.featurelog.archive_plan import (
    BATCH_BYTES_MAX,
    MERGED_BYTES,
    Keep,
    RawSegment,
    batches,
    files_to_let_go,
    merges,
    segments_to_let_go,
)
from service.featurelog.manifest import ArchivedSegment, ArchiveFile, Manifest, Raw

NO_LIMIT = Keep(1 << 62, 0, 0, 0)
SIZES = st.integers(0, 2 * BATCH_BYTES_MAX)
KEYS = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 9)), unique=True).map(sorted)


def file(name: str, size: int, *, date: str = "2024-10-04", version: str = "1", layout: str = "l") -> ArchiveFile:
    return ArchiveFile(f"requests/model=m/version={version}/date={date}/{name}", "requests", 1, size, 0, 0, layout)


@given(KEYS, SIZES, st.tuples(st.integers(0, 3), st.integers(0, 9)))
def test_batches_hold_every_segment_behind_the_position_once_and_in_order(
    keys: list[tuple[int, int]], size: int, at: tuple[int, int]
) -> None:
    found = batches([RawSegment(*key, size, 0) for key in keys], (*at, 0))
    assert [segment.key for some in found for segment in some] == [key for key in keys if key >= at]
    for some in found:
        assert len({segment.epoch for segment in some}) == 1
        assert len(some) == 1 or sum(segment.bytes for segment in some) <= BATCH_BYTES_MAX


FOLDERS = st.sampled_from([("2024-10-04", "1", "a"), ("2024-10-04", "1", "b"), ("2024-10-05", "2", "a")])
SOME_FILES = st.lists(st.tuples(FOLDERS, st.integers(1, MERGED_BYTES)), max_size=60)


@given(SOME_FILES)
def test_merging_comes_to_an_end_and_never_mixes_folders_or_columns(
    given: list[tuple[tuple[str, str, str], int]],
) -> None:
    files = [
        file(f"{number}", size, date=date, version=version, layout=layout)
        for number, ((date, version, layout), size) in enumerate(given)
    ]
    rounds, total = 0, sum(one.bytes for one in files)
    while planned := merges(files):
        rounds += 1
        assert rounds < 60
        for number, some in enumerate(planned):
            assert len(some) > 1
            assert len({(one.folder, one.layout) for one in some}) == 1
            assert sum(one.bytes for one in some) <= MERGED_BYTES
            first = some[0]
            merged = file(
                f"m{rounds}-{number}", sum(one.bytes for one in some), date=first.date,
                version=first.folder.split("version=")[1].split("/")[0], layout=first.layout,
            )  # fmt: skip
            gone = {one.path for one in some}
            files = [*(one for one in files if one.path not in gone), merged]
    assert sum(one.bytes for one in files) == total


def test_a_day_that_goes_on_is_merged_only_where_many_files_of_one_size_lie() -> None:
    newest = [file(f"{number}", 1000) for number in range(15)]
    assert merges(newest) == []
    assert [len(some) for some in merges([*newest, file("15", 1000)])] == [16]
    assert merges([*newest, file("large", 1 << 24)]) == []


def test_a_day_that_is_over_becomes_one_file() -> None:
    closed = [file(f"{number}", 1000) for number in range(3)]
    assert [len(some) for some in merges([*closed, file("next", 1000, date="2024-10-05")])] == [3]


def test_files_go_by_day_and_then_by_size_the_oldest_first() -> None:
    days = [file("a", 10, date=f"2024-10-0{day}") for day in range(1, 6)]
    assert files_to_let_go(days, NO_LIMIT, "") == []
    assert files_to_let_go(days, NO_LIMIT, "2024-10-03") == days[:2]
    assert files_to_let_go(days, NO_LIMIT._replace(archive_bytes=15), "") == days[:4]
    assert files_to_let_go(days, NO_LIMIT._replace(archive_bytes=50), "2024-10-02") == days[:1]


@given(
    KEYS,
    st.lists(st.integers(0, 100), min_size=30, max_size=30),
    st.integers(0, 100),
    st.integers(0, 40),
    st.one_of(st.none(), st.tuples(st.integers(0, 3), st.integers(0, 9))),
)
def test_segments_go_from_the_front_only_and_never_what_is_still_needed(
    keys: list[tuple[int, int]], changed: list[int], age: int, size: int, read: tuple[int, int] | None
) -> None:
    """The clock may have stepped back: `changed` is in no order."""
    present = [RawSegment(*key, 1, at) for key, at in zip(keys, changed, strict=False)]
    archived = tuple(ArchivedSegment(*key, 1, 0) for key in keys[:-2])
    manifest = Manifest(raw={"w0": Raw(kept=archived)})
    keep_from = None if read is None else {"w0": (*read, 0)}
    gone = segments_to_let_go(manifest, {"w0": present}, Keep(age, size, 0, 0), keep_from, 100).get("w0", [])
    assert tuple(gone) == archived[: len(gone)]
    assert all(segment.key < keys[-1] for segment in gone)
    assert read is None or all(segment.key < read for segment in gone)
    assert all(one.key < other.key for one, other in pairwise(gone))


def test_a_writer_that_the_other_reader_has_never_seen_keeps_all_it_has() -> None:
    manifest = Manifest(raw={"w1": Raw(kept=(ArchivedSegment(1, 0, 1, 0),))})
    present = {"w1": [RawSegment(1, 0, 1, 0), RawSegment(1, 1, 1, 0)]}
    assert segments_to_let_go(manifest, present, Keep(0, 1, 0, 0), {"w0": (9, 9, 9)}, 100) == {}
    assert segments_to_let_go(manifest, present, Keep(0, 1, 0, 0), None, 100) == {"w1": [ArchivedSegment(1, 0, 1, 0)]}
