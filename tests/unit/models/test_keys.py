"""Keys without files: documents, scopes, ends, and the look at a key that is presented."""

import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from models.key_errors import KeysInvalid, KeyUnknown
from models.key_file import fresh
from models.keys import (
    DEAD_KEPT,
    KEYS_MAX,
    TEXT_CHARS,
    Holder,
    Key,
    Keys,
    Mode,
    Refusal,
    Refused,
    Ring,
    administrator,
    asked_for,
)
from tests.keys import NOW, like

NOW_S = NOW.timestamp()
MOMENTS = st.integers(946_684_800, 4_102_444_800).map(lambda second: datetime.fromtimestamp(second, UTC))
SCOPES = st.sampled_from(["predict", "predict:rides", "predict:a.b-c_1", "read", "admin"])


@st.composite
def some_keys(draw: Any) -> Key:
    rows_per_s = draw(st.none() | st.floats(0.001, 1e9))
    return Key(
        id=draw(st.text("0123456789abcdef", min_size=8, max_size=8)),
        name=draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.@/ -]{0,63}", fullmatch=True)),
        sha256=draw(st.text("0123456789abcdef", min_size=64, max_size=64)),
        scopes=tuple(draw(st.lists(SCOPES, min_size=1, max_size=5))),
        created=draw(MOMENTS),
        expires=draw(st.none() | MOMENTS),
        revoked=draw(st.none() | MOMENTS),
        rows_per_s=rows_per_s,
        burst_rows=draw(st.none() | st.integers(1, 10**9)) if rows_per_s is not None else None,
    )


@given(st.lists(some_keys(), max_size=5, unique_by=lambda key: key.id))
def test_what_is_written_is_read_as_it_was(keys: list[Key]) -> None:
    assert Keys.decode(Keys(tuple(keys)).encode()) == Keys(tuple(keys))


def row(**changes: object) -> str:
    fields = {
        "id": '"0123abcd"',
        "name": '"a"',
        "sha256": f'"{"0" * 64}"',
        "scopes": '["read"]',
        "created": "2026-11-21T12:00:00Z",
        **changes,
    }
    return "[[key]]\n" + "\n".join(f"{name} = {value}" for name, value in fields.items() if value is not None) + "\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[key]", "keys.toml"),
        ("[[keys]]\n", "`keys`"),
        (row(id='"0123ABCD"'), "id '0123ABCD'"),
        (row(id='"../../e"'), "id"),
        (row(name='""'), "name ''"),
        (row(name='"a\\nb"'), "name"),
        (row(sha256='"00"'), "sha256 '00'"),
        (row(scopes="[]"), "0 scopes"),
        (row(scopes='["all"]'), "scope 'all'"),
        (row(scopes='["predict:"]'), "scope 'predict:'"),
        (row(scopes='["predict:UP"]'), "scope 'predict:UP'"),
        (row(scopes='["read:rides"]'), "scope 'read:rides'"),
        (row(created='"yesterday"'), "created"),
        (row(created="2026-11-21T12:00:00"), "created"),  # of which place?
        (row(expires="2026-11-21"), "expires"),
        (row(rows_per_s="0.0"), "rows_per_s 0"),
        (row(rows_per_s="-1.0"), "rows_per_s -1"),
        (row(rows_per_s="nan"), "rows_per_s nan"),
        (row(rows_per_s="inf"), "rows_per_s inf"),
        (row(rows_per_s="1" * 400), "rows_per_s"),
        (row(rows_per_s="1" * 5000), "keys.toml"),
        (row(created="2026-13-21T12:00:00Z"), "keys.toml"),
        (row(burst_rows="5"), "burst_rows without"),
        (row(rows_per_s="5.0", burst_rows="0"), "burst_rows 0"),
        (row(secret='"x"'), "secret"),
        (row(scopes=None), "scopes"),
        (row() + row(), "0123abcd twice"),
    ],
)
def test_a_document_that_contradicts_itself_is_refused_by_place_and_value(text: str, told: str) -> None:
    with pytest.raises(KeysInvalid) as refused:
        Keys.decode(text)
    assert told in str(refused.value) and "keys.toml" in str(refused.value)


def test_there_are_no_more_keys_than_the_limit_and_no_id_twice() -> None:
    keys = Keys(tuple(replace(like("read"), id=f"{n:08x}") for n in range(KEYS_MAX)))
    with pytest.raises(KeysInvalid, match="at most 1000"):
        keys.with_key(replace(like("read"), id="ffffffff"))
    with pytest.raises(KeysInvalid, match="twice"):
        Keys((like("read"),)).with_key(like("read"))


# --- the look -----------------------------------------------------------------------------------------------------


def test_the_text_of_a_key_opens_it_and_nothing_else_does() -> None:
    text, key = fresh(like("read"))
    ring = Ring(Keys((key,)))
    found = ring.find(text.encode(), NOW_S)
    assert isinstance(found, Holder) and (found.id, found.name) == (key.id, "tester")
    assert len(text) == TEXT_CHARS and key.id in text
    wrong = [text[:-1] + ("0" if text[-1] != "0" else "1"), text[:-1], text + "0", text.upper(), key.sha256, key.id, ""]
    wrong += [fresh(like("read"))[0], f"plk_{key.id}_{key.sha256}", "x" * TEXT_CHARS, " " + text[:-1]]
    for other in wrong:
        assert ring.find(other.encode(), NOW_S) == Refused(Refusal.UNKNOWN), other
    assert ring.find(b"\xff" * TEXT_CHARS, NOW_S) == Refused(Refusal.UNKNOWN)


@given(st.binary(max_size=200))
def test_no_guess_opens_anything(guess: bytes) -> None:
    assert Ring(Keys((fresh(like("admin"))[1],))).find(guess, NOW_S) == Refused(Refusal.UNKNOWN)


def test_known_and_unknown_cost_the_same_comparison() -> None:
    compared: list[tuple[int, int]] = []

    def same(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return hmac.compare_digest(one, other)

    text, key = fresh(like("read"))
    ring = Ring(Keys((key,)), same=same)
    for asked in (text, text[:-1] + "x", fresh(like("read"))[0], "", "guess"):
        ring.find(asked.encode(), NOW_S)
    assert compared == [(32, 32)] * 5


def test_an_id_that_is_not_known_opens_nothing_whatever_is_compared() -> None:
    ring = Ring(Keys((fresh(like("read"))[1],)), same=lambda one, other: True)
    assert ring.find(fresh(like("read"))[0].encode(), NOW_S) == Refused(Refusal.UNKNOWN)


def test_a_key_opens_until_it_expires_and_until_it_is_revoked() -> None:
    text, key = fresh(like("read", expires=NOW + timedelta(seconds=10)))
    ring = Ring(Keys((key,)))
    assert isinstance(ring.find(text.encode(), NOW_S + 9.9), Holder)
    assert ring.find(text.encode(), NOW_S + 10) == Refused(Refusal.EXPIRED, key.id)
    ended = Ring(Keys((key,)).revoked(key.id, NOW))
    assert ended.find(text.encode(), NOW_S) == Refused(Refusal.REVOKED, key.id)
    # who has not the whole key is not told that it was one
    assert ended.find(text[:-1].encode() + b"x", NOW_S) == Refused(Refusal.UNKNOWN)


@pytest.mark.parametrize(
    ("scopes", "rides", "other", "read", "admin"),
    [
        (("predict:rides",), True, False, False, False),
        (("predict",), True, True, False, False),
        (("read",), False, False, True, False),
        (("predict:rides", "read"), True, False, True, False),
        (("admin",), True, True, True, True),
        (("predict:rides", "admin"), True, True, True, True),
    ],
)
def test_a_scope_opens_what_it_says(scopes: tuple[str, ...], rides: bool, other: bool, read: bool, admin: bool) -> None:
    text, key = fresh(like(*scopes))
    found = Ring(Keys((key,))).find(text.encode(), NOW_S)
    assert isinstance(found, Holder)
    assert (found.predicts("rides"), found.predicts("other"), found.read, found.admin) == (rides, other, read, admin)


def test_who_has_the_token_may_do_everything() -> None:
    holder = administrator("token")
    assert holder.admin and holder.read and holder.predicts("any") and not holder.rows_per_s


# --- changes ------------------------------------------------------------------------------------------------------


def test_two_keys_of_one_owner_open_side_by_side_and_the_old_one_ends_after_the_overlap() -> None:
    old_text, old = fresh(like("predict:rides", expires=NOW + timedelta(days=90), rows_per_s=5.0))
    texts: list[str] = []

    def successor(key: Key) -> Key:
        text, made = fresh(key)
        texts.append(text)
        return made

    keys = Keys((old,)).rotated(old.id, successor, timedelta(days=7), NOW)
    ring = Ring(keys)
    for text, days in ((old_text, 6), (texts[0], 6), (texts[0], 8)):
        found = ring.find(text.encode(), NOW_S + days * 86_400)
        assert isinstance(found, Holder) and found.predicts("rides") and found.rows_per_s == 5
    assert ring.find(old_text.encode(), NOW_S + 8 * 86_400) == Refused(Refusal.EXPIRED, old.id)


def test_an_overlap_does_not_make_a_key_live_longer() -> None:
    _, old = fresh(like("read", expires=NOW + timedelta(days=1)))
    keys = Keys((old,)).rotated(old.id, lambda key: fresh(key)[1], timedelta(days=7), NOW)
    assert keys.keys[0].expires == old.expires


def test_only_a_live_key_can_be_revoked_or_rotated() -> None:
    _, key = fresh(like("read", expires=NOW))
    for identifier in (key.id, "ffffffff", ""):
        with pytest.raises(KeyUnknown, match="keys list"):
            Keys((key,)).revoked(identifier, NOW)
        with pytest.raises(KeyUnknown):
            Keys((key,)).rotated(identifier, lambda old: old, timedelta(days=1), NOW)


def test_a_key_that_ended_long_ago_makes_room() -> None:
    _, dead = fresh(like("read", revoked=NOW))
    _, other = fresh(like("read", created=NOW + DEAD_KEPT - timedelta(seconds=1)))
    assert Keys((dead,)).with_key(other).keys == (dead, other)
    _, later = fresh(like("read", created=NOW + DEAD_KEPT))
    assert Keys((dead,)).with_key(later).keys == (later,)


@pytest.mark.parametrize(
    ("mode", "host", "asked"),
    [
        ("auto", "127.0.0.1", False),
        ("auto", "127.8.0.1", False),
        ("auto", "localhost", False),
        ("auto", "::1", False),
        ("auto", "0.0.0.0", True),
        ("auto", "::", True),
        ("auto", "10.0.0.1", True),
        ("auto", "models.example", True),
        ("auto", "", True),
        ("off", "0.0.0.0", False),
        ("required", "127.0.0.1", True),
    ],
)
def test_keys_are_asked_for_where_others_reach_the_service(mode: Mode, host: str, asked: bool) -> None:
    assert asked_for(mode, host) is asked
