"""W3C Trace Context: what a header says, and who is followed."""

import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased
from opentelemetry.trace import TraceState, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.trace_context import (
    TRACESTATE_BYTES_MAX,
    TRACESTATE_MEMBERS_MAX,
    Following,
    Parent,
    parent_of,
    parsed,
    said,
)

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
KEY = b"k" * 16

hexadecimal = "0123456789abcdef"
ids = st.tuples(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1))
nearly = st.builds(
    lambda version, trace, span, flags, more: f"{version}-{trace}-{span}-{flags}{more}".encode(),
    st.text(hexadecimal, min_size=1, max_size=3) | st.sampled_from(["00", "01", "cc", "ff"]),
    st.text(hexadecimal + "AG", min_size=31, max_size=33) | st.sampled_from([TRACE, "0" * 32]),
    st.text(hexadecimal + "AG", min_size=15, max_size=17) | st.sampled_from([CALLER, "0" * 16]),
    st.text(hexadecimal + "AG", min_size=1, max_size=3) | st.sampled_from(["00", "01", "02", "ff"]),
    st.sampled_from(["", "", "", "-", "-what", "x", "\n"]),
)


@given(ids, st.integers(0, 255))
def test_what_a_caller_writes_is_what_is_read(ids: tuple[int, int], flags: int) -> None:
    trace_id, span_id = ids
    value = f"00-{trace_id:032x}-{span_id:016x}-{flags:02x}".encode()
    assert parsed(value) == Parent(trace_id, span_id, bool(flags & 1))


@given(nearly)
def test_it_reads_what_opentelemetry_s_own_propagator_reads(value: bytes) -> None:
    context = TraceContextTextMapPropagator().extract({"traceparent": value.decode()})
    theirs = get_current_span(context).get_span_context()
    ours = parsed(value)
    if value.endswith(b"\n") or not re.match(rb"[0-9a-f]{2}-", value):
        assert ours is None  # no header is so
    elif theirs.is_valid and value == value.lower():
        assert ours == Parent(theirs.trace_id, theirs.span_id, bool(theirs.trace_flags & 1))
    else:
        assert ours is None


@given(st.binary(max_size=80))
def test_no_bytes_are_an_error(value: bytes) -> None:
    headers = [(b"traceparent", value), (b"tracestate", value)]
    parent_of(headers)
    said(headers)
    Following(1.0, KEY).trace_of(headers, "r", 1)


@pytest.mark.parametrize(
    "value",
    [
        "", "00", f"00-{TRACE}-{CALLER}", f"00-{TRACE}-{CALLER}-01-more", f"00-{TRACE.upper()}-{CALLER}-01",
        f"ff-{TRACE}-{CALLER}-01", f"00-{'0' * 32}-{CALLER}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{CALLER}-1",
        f" 00-{TRACE}-{CALLER}-01", f"00-{TRACE}-{CALLER}-01,00-{TRACE}-{CALLER}-01", f"01-{TRACE}-{CALLER}-01more",
    ],
)  # fmt: skip
def test_what_the_specification_calls_invalid_is_as_good_as_none(value: str) -> None:
    assert parsed(value.encode()) is None


def test_a_version_to_come_is_read_as_far_as_it_is_known() -> None:
    assert parsed(f"01-{TRACE}-{CALLER}-03-more".encode()) == Parent(int(TRACE, 16), int(CALLER, 16), True)


def test_two_headers_are_none() -> None:
    header = (b"traceparent", f"00-{TRACE}-{CALLER}-01".encode())
    assert parent_of([header]) is not None and parent_of([header, header]) is None
    assert said([header]) == {"trace_id": TRACE} and said([]) == {}


@given(ids, st.floats(0, 1), st.booleans())
def test_the_caller_s_decision_holds_whatever_the_share(ids: tuple[int, int], share: float, sampled: bool) -> None:
    value = f"00-{ids[0]:032x}-{ids[1]:016x}-{int(sampled):02x}".encode()
    trace = Following(share, KEY).trace_of(
        [(b"traceparent", value), (b"tracestate", b"a=1"), (b"tracestate", b"b=2")], "r", 1
    )
    assert (trace is not None) is sampled
    if trace is not None:
        assert (trace.trace_id, trace.parent_id, trace.state) == (*ids, "a=1,b=2") and trace.span_id not in (0, ids[1])


@given(st.text(max_size=40), st.integers(0, 2**63), st.floats(0, 1))
def test_a_request_is_decided_on_once_and_as_opentelemetry_would(request: str, arrived_ns: int, share: float) -> None:
    trace = Following(share, KEY).trace_of([], request, arrived_ns)
    assert trace == Following(share, KEY).trace_of([], request, arrived_ns)
    always = Following(1.0, KEY).trace_of([], request, arrived_ns)
    assert (
        always is not None and always.parent_id == 0 and Following(0.0, KEY).trace_of([], request, arrived_ns) is None
    )
    theirs = TraceIdRatioBased(share).should_sample(None, always.trace_id, "").decision
    assert (trace is not None) is (theirs is Decision.RECORD_AND_SAMPLE)


def test_the_share_is_kept_and_no_two_requests_have_one_id() -> None:
    following = Following(0.25, KEY)
    found = [following.trace_of([], "same", arrived_ns) for arrived_ns in range(20_000)]
    followed = [trace for trace in found if trace is not None]
    assert len({trace.trace_id for trace in followed}) == len({trace.span_id for trace in followed}) == len(followed)
    assert (
        abs(len(followed) - 5_000) < 5 * 61.3
    )  # five times the standard deviation; the key is fixed, so is the result


def state_of(*values: bytes) -> str:
    """What is kept of the `tracestate` of a followed request."""
    parent = (b"traceparent", f"00-{TRACE}-{CALLER}-01".encode())
    trace = Following(0.0, KEY).trace_of([parent, *((b"tracestate", value) for value in values)], "r", 1)
    assert trace is not None
    return trace.state


members = st.builds(
    lambda key, value, space: f"{space}{key}={value}{space}".encode("latin-1"),
    st.text("ab0_-*/@A", max_size=6)
    | st.sampled_from(["a", "0a@b", "0a", "a@b@c", "a" * 256, "a" * 257, "b@" + "c" * 15]),
    st.text(st.characters(max_codepoint=255), max_size=6) | st.sampled_from(["1", " x", "y" * 256, "y" * 257]),
    st.sampled_from(["", " ", "\t "]),
)


@given(st.lists(st.lists(members | st.sampled_from([b"", b" "]), max_size=40).map(b",".join), max_size=3))
def test_a_tracestate_that_is_kept_is_one_that_opentelemetry_takes_without_a_word(values: list[bytes]) -> None:
    heard: list[logging.LogRecord] = []
    logger, handler = logging.getLogger("opentelemetry.trace.span"), logging.Handler()
    handler.emit = heard.append  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        state = state_of(*values)
        theirs = TraceState.from_header([value.decode("latin-1") for value in values])
        warned, heard[:] = bool(heard), []
        if state:
            assert TraceState.from_header([state]).to_header() == theirs.to_header() == state and not heard
        else:
            assert (
                warned
                or not theirs
                or sum(map(len, values)) + len(values) - 1 > TRACESTATE_BYTES_MAX
                or len(theirs) > 32
            )
    finally:
        logger.removeHandler(handler)


@pytest.mark.parametrize(
    "value",
    [
        b"no member",
        b"a=1,a=2",
        b"A=1",
        b"a=",
        b"a=1=2",
        b"a=\xe9",
        b"a=1,=2",
        b",".join(b"k%d=v" % n for n in range(33)),
    ],
)
def test_a_tracestate_that_is_not_valid_is_as_good_as_none(value: bytes) -> None:
    assert state_of(value) == ""


def test_a_tracestate_of_as_many_members_as_may_be_is_kept_and_empty_ones_are_none() -> None:
    whole = b",".join(b"k%d=v" % n for n in range(TRACESTATE_MEMBERS_MAX))
    assert state_of(whole) == whole.decode() and state_of(b" a=1 ,, ", b"0t@v=x y") == "a=1,0t@v=x y"


def test_a_long_tracestate_is_not_kept() -> None:
    headers = [
        (b"traceparent", f"00-{TRACE}-{CALLER}-01".encode()),
        (b"tracestate", b"a=" + b"x" * TRACESTATE_BYTES_MAX),
    ]
    trace = Following(0.0, KEY).trace_of(headers, "r", 1)
    assert trace is not None and trace.state == ""
