import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from service.featurelog.framing import MARKER, PAYLOAD_BYTES_MAX, WORDWISE_BYTES, Damage, Frame, Tail, frame, scan

ESCAPE = b"\x50\x4c\x42\xf2"
PIECES = st.sampled_from((MARKER, ESCAPE, MARKER[:3], b"\x00", b"\x01", b"P", frame(b"inner", 9))) | st.binary(
    max_size=9
)
PAYLOADS = st.lists(PIECES, max_size=12).map(b"".join)
SEQS = st.integers(0, 2**64 - 1)
SMALL = frame(b"payload", 7)


def found(data: bytes, start: int = 0) -> list[tuple[int, bytes]]:
    return [(f.seq, bytes(f.payload)) for f in scan(data, start) if isinstance(f, Frame)]


@given(st.lists(st.tuples(PAYLOADS, SEQS), max_size=8))
def test_what_was_framed_is_found_in_order_and_nothing_else(items: list[tuple[bytes, int]]) -> None:
    data = b"".join(frame(payload, seq) for payload, seq in items)
    assert [(bytes(f.payload), f.seq) if isinstance(f, Frame) else f for f in scan(data)] == items


@given(PAYLOADS, SEQS)
def test_the_marker_stands_in_no_payload_as_written(payload: bytes, seq: int) -> None:
    assert MARKER not in frame(payload, seq)[20:]


@pytest.mark.parametrize("size", range(WORDWISE_BYTES - 1, WORDWISE_BYTES + 5))
@pytest.mark.parametrize("back", range(len(MARKER), len(MARKER) + 6))
def test_the_marker_is_found_at_every_place_of_a_large_payload(size: int, back: int) -> None:
    for place in (back - len(MARKER), size // 2 + back, size - back):
        payload = bytes(place) + MARKER + bytes(size - place - len(MARKER))
        whole = frame(payload, 1)
        assert MARKER not in whole[20:]
        assert found(whole) == [(1, payload)]


def test_every_single_bit_flip_hides_the_frame_and_yields_no_other_payload() -> None:
    for bit in range(len(SMALL) * 8):
        damaged = bytearray(SMALL)
        damaged[bit // 8] ^= 1 << bit % 8
        assert found(bytes(damaged)) == [], f"bit {bit}"


def test_a_flipped_bit_never_hides_the_next_frame() -> None:
    for bit in range(len(SMALL) * 8):
        damaged = bytearray(SMALL + frame(b"next", 8))
        damaged[bit // 8] ^= 1 << bit % 8
        assert next(iter(scan(bytes(damaged)))) == Damage(0, len(SMALL)), f"bit {bit}"
        assert found(bytes(damaged)) == [(8, b"next")]


def test_a_frame_cut_anywhere_is_a_tail_and_what_stood_before_it_is_found() -> None:
    for end in range(len(SMALL)):
        seen = list(scan(frame(b"first", 1) + SMALL[:end]))
        assert isinstance(seen[0], Frame)
        assert seen[1:] == ([Tail(seen[0].end, seen[0].end + end)] if end else [])


@given(PAYLOADS, st.data())
def test_what_looks_like_a_frame_inside_a_payload_is_never_read_where_the_frame_around_it_is_torn(
    payload: bytes, data: st.DataObject
) -> None:
    whole = frame(payload + frame(b"forged", 3) + payload, 2)
    after = frame(b"next", 4)
    torn = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assume(not after.startswith(whole[len(torn) :]))  # what follows would make it whole again, as it was written
    assert found(torn) == []
    assert found(torn + after) == [(4, b"next")]


def test_a_zero_filled_tail_is_no_frame() -> None:
    seen = list(scan(SMALL + bytes(100)))
    assert [type(one) for one in seen] == [Frame, Tail]


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=40), min_size=2, max_size=6))
def test_garbage_between_frames_is_damage_of_exactly_its_extent(garbage: list[bytes]) -> None:
    data, expected = b"", []
    for seq, junk in enumerate(garbage):
        junk = junk.replace(MARKER, b"")
        if junk:
            expected.append(Damage(len(data), len(data) + len(junk)))
        data += junk + frame(b"x", seq)
    assert [one for one in scan(data) if isinstance(one, Damage)] == expected
    assert [seq for seq, _ in found(data)] == list(range(len(garbage)))


@given(st.binary(max_size=300))
def test_scan_of_anything_never_raises_and_covers_every_byte_once(data: bytes) -> None:
    at = 0
    for one in scan(MARKER + data):
        assert one.offset == at < one.end
        at = one.end
    assert at == len(data) + 4


def test_a_length_above_the_limit_is_damage_and_not_waited_for() -> None:
    data = MARKER + (PAYLOAD_BYTES_MAX + 1).to_bytes(4, "little") + bytes(12) + SMALL
    assert found(data) == [(7, b"payload")]


def test_scanning_may_start_at_any_frame_border() -> None:
    assert found(frame(b"first", 1) + SMALL, len(frame(b"first", 1))) == [(7, b"payload")]
