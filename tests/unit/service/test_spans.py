"""The spans of one followed request, from what was measured of it."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from service.featurelog.record import Outcome, Request
from service.spans import Followed, Part, Span, attributes_of, span_of
from service.trace_context import Trace

times = st.integers(0, 10**10)
parts = st.builds(Part, times, times, st.integers(0, 10**6), st.just(2), st.just(5), st.just(3))
requests = st.builds(
    Followed, st.just(Trace(1, 2)), st.just({"plumbline.model": "m", "plumbline.version": "7", "plumbline.arm": "canary"}),
    st.sampled_from([200, 400, 503]), st.integers(0, 10**6), times, times, times, times, times, st.integers(0, 10**18),
    st.lists(parts, max_size=3),
)  # fmt: skip


def below(span: Span) -> Iterator[tuple[Span, Span]]:
    for child in span.children:
        yield span, child
        yield from below(child)


@given(requests)
def test_a_child_lies_within_its_parent_whatever_was_measured(one: Followed) -> None:
    whole = span_of(one)
    for parent, child in below(whole):
        assert parent.start_ns <= child.start_ns <= child.end_ns <= parent.end_ns
    names = [child.name for child in whole.children]
    assert names == ["queue"] * bool(one.queued_ns) + ["batch"] * len(one.parts) + ["log append"]


def test_what_was_measured_is_where_it_was_measured() -> None:
    ms = 1_000_000
    two = [Part(30 * ms, 50 * ms, 15_000, 4, 8, 3, (Trace(9, 9),)), Part(50 * ms, 60 * ms, 10_000, 1, 1, 1)]
    one = Followed(
        Trace(1, 2), {"plumbline.model": "m", "plumbline.version": "7"}, 200, 20_000,
        started_ns=1 * ms, queued_ns=5 * ms, dequeued_ns=61 * ms, recorded_ns=70 * ms, ended_ns=75 * ms,
        wall_less_monotonic_ns=1000 * ms, parts=two,
    )  # fmt: skip
    whole = span_of(one)
    placed = {(child.name, child.start_ns // ms, child.end_ns // ms) for _, child in below(whole)}
    assert (whole.name, whole.start_ns, whole.end_ns, whole.failed) == ("predict m", 1001 * ms, 1075 * ms, False)
    assert placed == {
        ("queue", 1010, 1030), ("batch", 1030, 1050), ("run", 1030, 1045), ("batch", 1050, 1060), ("run", 1050, 1060),
        ("log append", 1070, 1075),
    }  # fmt: skip
    first = whole.children[1]
    assert first.links == (Trace(9, 9),)
    assert first.attributes == {
        "plumbline.version": "7", "plumbline.rows": 4, "plumbline.batch.rows": 8, "plumbline.batch.requests": 3,
    }  # fmt: skip


def test_who_expired_in_the_queue_has_waited_there_and_was_not_run() -> None:
    one = Followed(
        Trace(1, 2), {}, 504, 0, started_ns=1, queued_ns=10, dequeued_ns=90, recorded_ns=91, ended_ns=95,
        wall_less_monotonic_ns=0, parts=(),
    )  # fmt: skip
    whole = span_of(one)
    assert [(child.name, child.start_ns, child.end_ns) for child in whole.children] == [
        ("queue", 10, 90), ("log append", 91, 95),
    ]  # fmt: skip
    assert whole.name == "predict" and whole.failed


def test_what_is_said_of_a_request_are_words_and_sizes_and_no_name_that_is_not_ours() -> None:
    record = Request(1, "mine", Outcome.REJECTED, 404, "version_unknown", "v2", -1, "asked", "", -1, 0, 2, 0, 0, 40)
    assert attributes_of(record, "", "") == {
        "http.request.method": "POST", "http.response.status_code": 404, "plumbline.request_id": "mine",
        "plumbline.protocol": "v2", "plumbline.outcome": "rejected", "plumbline.rows": 2, "error.type": "version_unknown",
    }  # fmt: skip
