import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import LockInvalid, PinConflict
from models.lock import DIGEST, NAME, Lock, Pin

PINS = st.builds(
    Pin,
    name=st.sampled_from(("payments", "tumours")) | st.from_regex(NAME, fullmatch=True),
    version=st.sampled_from(("1", "2")) | st.from_regex(NAME, fullmatch=True),
    digest=st.from_regex(DIGEST, fullmatch=True),
    source=st.text(),
)
LOCKS = st.lists(PINS, unique_by=lambda pin: pin.ref).map(lambda pins: Lock(tuple(sorted(pins, key=lambda p: p.name))))
PIN = Pin(name="payments", version="1", digest="sha256:" + "0" * 64, source="file:demo")


@given(LOCKS)
def test_what_a_lock_writes_it_reads_back_and_writes_again(lock: Lock) -> None:
    assert Lock.decode(lock.encode()) == lock
    assert Lock.decode(lock.encode()).encode() == lock.encode()


@given(LOCKS, PINS)
def test_pinning_adds_one_pin_or_nothing_and_changes_no_digest(lock: Lock, pin: Pin) -> None:
    known = lock.find(pin.name, pin.version)
    if known is not None and known.digest != pin.digest:
        with pytest.raises(PinConflict):
            lock.with_pin(pin)
        return
    after = lock.with_pin(pin)
    assert {(one.ref, one.digest) for one in lock.pins} <= {(one.ref, one.digest) for one in after.pins}
    assert {one for one in lock.pins if one.ref != pin.ref} <= set(after.pins)
    assert len(after.pins) == len(lock.pins) + (known is None)
    assert after.with_pin(pin) == after
    assert [p.name for p in after.pins] == sorted(p.name for p in after.pins)


def test_other_bytes_under_a_pinned_version_are_refused() -> None:
    lock = Lock((PIN,))
    with pytest.raises(PinConflict, match="a version never changes its bytes"):
        lock.with_pin(msgspec.structs.replace(PIN, digest="sha256:" + "1" * 64))


def test_the_same_bytes_may_be_pinned_from_another_source() -> None:
    moved = msgspec.structs.replace(PIN, source="oci:registry.example/payments@sha256:" + "0" * 64)
    assert Lock((PIN,)).with_pin(moved) == Lock((moved,))


def test_versions_of_a_model_stand_in_the_order_in_which_they_were_pinned() -> None:
    lock = Lock()
    for version in ("2", "10", "1"):
        lock = lock.with_pin(msgspec.structs.replace(PIN, version=version))
    assert [pin.version for pin in Lock.decode(lock.encode()).versions("payments")] == ["2", "10", "1"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Payments"),
        ("name", "../etc"),
        ("name", ""),
        ("name", "a" * 65),
        ("version", "1/2"),
        ("version", "1\n"),
        ("digest", "sha256:" + "0" * 63),
        ("digest", "0" * 64),
        ("digest", "sha256:" + "A" * 64),
    ],
)
def test_a_pin_that_is_no_name_version_or_digest_cannot_be_built(field: str, value: str) -> None:
    with pytest.raises(LockInvalid):
        msgspec.structs.replace(PIN, **{field: value})


GOOD = Lock((PIN,)).encode()


@pytest.mark.parametrize(
    "text",
    [
        "[[model]",
        GOOD.replace("[[model]]", "[[models]]"),
        GOOD.replace("source", "sauce"),
        GOOD.replace('source = "file:demo"', ""),
        GOOD.replace('version = "1"', "version = 1"),
        GOOD + 'extra = "x"\n',
        GOOD + GOOD,
        "model = 3",
    ],
)
def test_a_lock_that_says_something_else_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(LockInvalid) as refused:
        Lock.decode(text, "here.toml")
    assert "here.toml" in str(refused.value)


def test_an_empty_lock_has_no_pins() -> None:
    assert Lock.decode("") == Lock()
