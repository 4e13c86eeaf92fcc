"""Errors of the request path, by who must act: the client (Rejected), time and load (Shed), us (Failed).

`args` are the fields, `str()` is the sentence, `code` the machine word. None of them knows HTTP: `service/http/errors.py`
holds the one table from error to status.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from service.featurelog.record import Outcome, Problem

FOUND_CHARS_MAX = 200  # of what a parser says, which may quote the client
NAME_CHARS_MAX = 64
FAULTS_MAX = 20  # as InvalidInput tells clients; enough to see the pattern, 10 000 details help nobody


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request: where (a JSON pointer) and what."""

    at: str
    problem: str


class RequestError(Exception):
    """A request that gets no prediction."""

    outcome: Outcome
    code: str
    retry_after_s: int | None = None

    @property
    def details(self) -> Sequence[Fault]:
        return ()


class Rejected(RequestError):
    """The client must change the request."""

    outcome = Outcome.REJECTED


class Shed(RequestError):
    """The client may try again later: there was no room or no time."""

    outcome = Outcome.SHED


class Failed(RequestError):
    """We must mend it; the client may try again."""

    outcome = Outcome.FAILED


class MalformedBody(Rejected):
    """The body, or a header that says how to read it, is not the language that it should be; `at`: a JSON pointer."""

    code = "malformed_body"

    def __init__(self, found: str, expected: str, *, where: str = "body", at: str = "") -> None:
        super().__init__(found[:FOUND_CHARS_MAX], expected, where, at)
        self.found, self.expected, self.where, self.at = found[:FOUND_CHARS_MAX], expected, where, at

    @property
    def details(self) -> Sequence[Fault]:
        return (Fault(self.at, f"{self.found}, expected {self.expected}"),) if self.at else ()

    def __str__(self) -> str:
        place = f"{self.where} at {self.at}" if self.at else self.where
        return f"{place}: {self.found}, expected {self.expected}; nothing was done"


class InvalidInput(Rejected):
    """The body does not meet the model's contract; the first 20 faults are told."""

    code = "invalid_input"

    def __init__(self, ref: str, faults: Sequence[Fault], problems: Sequence[Problem] = (), rows: int = 0) -> None:
        super().__init__(ref, faults, problems, rows)
        self.ref, self.faults, self.problems, self.rows = ref, tuple(faults[:FAULTS_MAX]), list(problems), rows
        self.more = len(faults) - 1

    @property
    def details(self) -> Sequence[Fault]:
        return self.faults

    def __str__(self) -> str:
        first = self.faults[0]
        more = f" (and {self.more} more)" if self.more else ""
        return f"{first.at}: {first.problem}{more}; {self.ref} predicted nothing"


class TooManyRows(Rejected):
    """More rows than one request may carry."""

    code = "too_many_rows"

    def __init__(self, found: int, limit: int) -> None:
        super().__init__(found, limit)
        self.found, self.limit = found, limit

    def __str__(self) -> str:
        return f"request: {self.found} rows, expected at most {self.limit}; split it"


class TooManyValues(Rejected):
    """More JSON values than the largest request to this model can have; the body is not parsed."""

    code = "too_many_values"

    def __init__(self, found: int, limit: int) -> None:
        super().__init__(found, limit)
        self.found, self.limit = found, limit

    def __str__(self) -> str:
        return f"body: {self.found} values, expected at most {self.limit}; split it"


class BodyTooLarge(Rejected):
    """More bytes than one request may carry; the body is not read to its end."""

    code = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"body: larger than {self.limit} bytes; split it"


class UnsupportedEncoding(Rejected):
    """A media type or content encoding that this route does not read."""

    code = "unsupported_media"

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(found, expected)
        self.found, self.expected = found, expected

    def __str__(self) -> str:
        return f"content: found {self.found!r}, expected {self.expected}; nothing was read"


class ClientGone(Rejected):
    """The client closed the connection before its body was complete, or while its request waited; it was not run."""

    code = "client_gone"

    def __str__(self) -> str:
        return "connection: closed by the client before its turn came; nothing was predicted"


class ModelUnknown(Rejected):
    """No such model."""

    code = "model_unknown"

    def __init__(self, model: str) -> None:
        super().__init__(model[:NAME_CHARS_MAX])
        self.model = model[:NAME_CHARS_MAX]

    def __str__(self) -> str:
        return f"model {self.model!r}: not served here; GET /v2/repository/index lists what is"


class VersionUnknown(Rejected):
    """The model is served, but not in this version."""

    code = "version_unknown"

    def __init__(self, model: str, version: str, known: Sequence[str]) -> None:
        super().__init__(model, version, known)
        self.model, self.version, self.known = model, version, tuple(known)

    def __str__(self) -> str:
        return f"version {self.version!r} of {self.model!r}: not served here, expected one of {', '.join(self.known)}"


class RouteUnknown(Rejected):
    """No such path under the data plane."""

    code = "route_unknown"

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"path {self.path!r}: no such route; GET /docs lists them"


class MethodUnsupported(Rejected):
    """The path exists, the method does not."""

    code = "method_unsupported"

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(found, expected)
        self.found, self.expected = found, expected

    def __str__(self) -> str:
        return f"method {self.found}: expected {self.expected}"


class NotAuthorised(Rejected):
    """The admin token is absent or wrong."""

    code = "not_authorised"

    def __str__(self) -> str:
        return "authorization: expected 'Bearer <admin token>'; nothing was changed"


class AdminDisabled(Rejected):
    """No admin token is configured, so there is no admin API."""

    code = "admin_disabled"

    def __str__(self) -> str:
        return "admin API: disabled, set PLUMBLINE_ADMIN_TOKEN to enable it; nothing was changed"


class Overloaded(Shed):
    """There is no room for it now, or no time behind what waits; it is refused at once."""

    code = "overloaded"
    retry_after_s = 1

    def __init__(
        self, waiting: int, limit: int, unit: str = "rows", retry_after_s: int = 1, by_time: bool = False
    ) -> None:
        """`by_time`: more might wait, but not in front of this request in the time that it has."""
        super().__init__(waiting, limit, unit, retry_after_s, by_time)
        self.waiting, self.limit, self.unit, self.retry_after_s = waiting, limit, unit, retry_after_s
        self.by_time = by_time

    def __str__(self) -> str:
        why = " in the time that this request has" if self.by_time else ""
        limit = f"at most {self.limit} may{why}"
        return f"queue: {self.waiting} {self.unit} wait, {limit}; try again in {self.retry_after_s} s"


class DeadlineExceeded(Shed):
    """The answer would have come too late."""

    code = "deadline_exceeded"

    def __str__(self) -> str:
        return "deadline: passed before the model was run; the work was given up"


class Draining(Shed):
    """The service is stopping; another one is to be asked."""

    code = "draining"
    retry_after_s = 1

    def __str__(self) -> str:
        return "service: stopping, what still comes in is answered; send new connections elsewhere"


class CutOff(Shed):
    """The service stopped before the request was done."""

    code = "cut_off"
    retry_after_s = 1

    def __str__(self) -> str:
        return (
            "service: stopped, and its grace was over before this request was done; nothing was answered, send it again"
        )


class ModelNotReady(Failed):
    """The model is routed, but its version could not be loaded."""

    code = "model_not_ready"
    retry_after_s = 5

    def __init__(self, ref: str, reason: str) -> None:
        super().__init__(ref, reason)
        self.ref, self.reason = ref, reason

    def __str__(self) -> str:
        return f"{self.ref}: not ready: {self.reason}"


class VersionEjected(Failed):
    """The version ended its workers and was taken out; a person must set or pin it again."""

    code = "version_ejected"
    retry_after_s = 30

    def __init__(self, ref: str, reason: str) -> None:
        super().__init__(ref, reason)
        self.ref, self.reason = ref, reason

    def __str__(self) -> str:
        return f"{self.ref}: {self.told}"

    @property
    def told(self) -> str:
        """The sentence without the version's name."""
        return f"ejected: {self.reason}; not loading it until it is set or pinned again"


class VersionLoading(Failed):
    """The version is pinned and not in memory yet; it is being loaded."""

    code = "version_loading"
    retry_after_s = 1

    def __init__(self, ref: str) -> None:
        super().__init__(ref)
        self.ref = ref

    def __str__(self) -> str:
        return f"{self.ref}: not in memory, being loaded; ask again"


class VersionEvicted(Failed):
    """The version is pinned, but no route needs it and there is no room for it in memory."""

    code = "version_evicted"
    retry_after_s = 60

    def __init__(self, ref: str, cost_bytes: int) -> None:
        super().__init__(ref, cost_bytes)
        self.ref, self.cost_bytes = ref, cost_bytes

    def __str__(self) -> str:
        mib = self.cost_bytes / (1 << 20)
        return f"{self.ref}: takes {mib:.1f} MiB, which versions_memory_max_mb has not beside what is routed; not loading it"


class RuntimeFailed(Failed):
    """The model was run and failed."""

    code = "runtime_failed"

    def __init__(self, ref: str, reason: str) -> None:
        super().__init__(ref, reason)
        self.ref, self.reason = ref, reason

    def __str__(self) -> str:
        return f"{self.ref}: the runtime failed: {self.reason}; nothing was predicted"


class LogUnavailable(Failed):
    """The feature log cannot be written and `on_log_failure = "refuse"` forbids an answer without a record."""

    code = "log_unavailable"
    retry_after_s = 5

    def __str__(self) -> str:
        return "feature log: cannot be written, and this service is configured to answer nothing it cannot log"


class Internal(Failed):
    """A defect of ours; the log has the trace under this request id."""

    code = "internal"

    def __str__(self) -> str:
        return "internal error; the service's log has the details under this request id"


class RoutesInvalid(Exception):
    """The routes document contradicts itself, the lock, or a newer generation. Who wrote it must mend it."""

    def __init__(self, where: str, found: str, expected: str) -> None:
        super().__init__(where, found, expected)
        self.where, self.found, self.expected = where, found, expected

    def __str__(self) -> str:
        return f"routes, {self.where}: found {self.found}, expected {self.expected}; the routes stay as they were"
