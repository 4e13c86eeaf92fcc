from collections.abc import Iterator

import msgspec
import pytest

from models.keys import Refusal
from service import errors, keys_errors, routes_errors
from service.errors import FAULTS_MAX, Fault, RequestError
from service.featurelog.record import Outcome
from service.http import connection_errors
from service.http.errors import STATUS, error_answer, status_of

EXAMPLES = [
    errors.MalformedBody("junk", "JSON"),
    errors.InvalidInput("m:1", [Fault("/instances/3/amount", "missing"), Fault("/b", "c")]),
    errors.TooManyRows(11, 10),
    errors.TooManyValues(11, 10),
    errors.BodyTooLarge(10),
    errors.UnsupportedEncoding("br", "gzip"),
    connection_errors.RequestMalformed("Invalid method encountered"),
    connection_errors.RequestLate("head", "it within 5 s"),
    connection_errors.HeadTooLarge("100 headers"),
    connection_errors.UrlTooLong(4096),
    errors.ClientGone(),
    errors.ModelUnknown("m"),
    errors.VersionUnknown("m", "9", ["1", "2"]),
    errors.RouteUnknown("/v1/x"),
    errors.MethodUnsupported("GET", "POST"),
    errors.NotAuthorised(),
    keys_errors.KeyMissing(0),
    keys_errors.KeyRefused(Refusal.EXPIRED, "3f9a1c2b"),
    keys_errors.ScopeMissing("3f9a1c2b", "read", "predict:m"),
    keys_errors.RateLimited("3f9a1c2b", 10, 3),
    keys_errors.KeysUnavailable("API keys: Permission denied"),
    routes_errors.RoutesRefused("routes, m: found no canary, expected a canary; the routes stay as they were"),
    routes_errors.RoutesConflict(8, 7),
    routes_errors.VersionsNotLoaded({f"worker {n}": ["m:2"] for n in range(5)}, 10, {"m:2": "not pinned here"}),
    routes_errors.RoutesUnavailable("No space left on device"),
    errors.AdminDisabled(),
    errors.Overloaded(5, 4),
    connection_errors.TooManyConnections(1000),
    connection_errors.TooManyUnfinishedBytes(1 << 28),
    errors.DeadlineExceeded(),
    errors.Draining(),
    errors.CutOff(),
    errors.ModelNotReady("m:1", "reason"),
    errors.VersionEjected("m:2", "m:2 ended its worker 3 times within 300 s, the last time by SIGFPE"),
    errors.VersionEvicted("m:2", 5 << 20),
    errors.VersionLoading("m:2"),
    errors.RuntimeFailed("m:1", "reason"),
    errors.LogUnavailable(),
    errors.Internal(),
]


def leaves(kind: type[RequestError] = RequestError) -> Iterator[type[RequestError]]:
    below = kind.__subclasses__()
    if not below:
        yield kind
    for one in below:
        yield from leaves(one)


def test_every_leaf_has_a_status_an_example_and_a_code_of_its_own() -> None:
    kinds = set(leaves())
    assert kinds == set(STATUS) == {type(example) for example in EXAMPLES}
    assert len({kind.code for kind in kinds}) == len(kinds)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_speaks_and_has_the_one_shape(error: RequestError) -> None:
    sentence = str(error)
    assert len(sentence) > 20 and not sentence.endswith(".")
    answer = error_answer(error, "id-7", [(b"x-request-id", b"id-7")])
    assert answer.status == status_of(error)
    assert answer.content_type == b"application/json"
    body = msgspec.json.decode(answer.body)
    assert list(body) == ["error", "code", "request_id", "details"]
    assert (body["error"], body["code"], body["request_id"]) == (sentence, error.code, "id-7")
    assert all(list(detail) == ["at", "problem"] for detail in body["details"])
    assert (b"x-request-id", b"id-7") in answer.headers


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_who_must_act_is_in_the_status_and_in_the_outcome(error: RequestError) -> None:
    status = status_of(error)
    if error.outcome is Outcome.REJECTED:
        assert 400 <= status < 500
    else:
        assert status >= 500
    assert error.outcome is not Outcome.ANSWERED


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_who_may_come_again_is_told_when(error: RequestError) -> None:
    headers = dict(error_answer(error, "id").headers)
    assert (b"retry-after" in headers) == (status_of(error) in (429, 503))


def test_a_connection_whose_body_is_not_read_is_closed() -> None:
    assert (b"connection", b"close") in error_answer(errors.BodyTooLarge(1), "id").headers


def test_a_thousand_faults_are_told_in_a_bounded_answer_and_in_their_number() -> None:
    error = errors.InvalidInput("m:1", [Fault(f"/{number}", "bad") for number in range(1000)])
    assert len(msgspec.json.decode(error_answer(error, "id").body)["details"]) == FAULTS_MAX
    assert "and 999 more" in str(error)


def test_errors_of_the_routes_document_speak_too() -> None:
    assert str(errors.RoutesInvalid("m.stable", "'3'", "'1'")) == (
        "routes, m.stable: found '3', expected '1'; the routes stay as they were"
    )
