"""The whole path of one predict request: route, decode, run, record, answer.

Laws
- Every request that comes in here ends in exactly one record and one answer, whatever fails on the way (P1, P3).
- The answer leaves after its record was handed to the operating system, or after its loss was counted.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from msgspec.structs import replace

from models.errors import RunFailed
from models.tensors import Array
from service.batching import Batcher
from service.caller import Caller
from service.catalogue import Catalogue
from service.clock import Clock
from service.deadline import timeout_ms
from service.errors import (
    CutOff,
    DeadlineExceeded,
    Internal,
    InvalidInput,
    LogUnavailable,
    Overloaded,
    RequestError,
    RuntimeFailed,
    Shed,
    TooManyRows,
)
from service.featurelog.record import MODEL_NAME_CHARS_MAX, Block, Outcome, Request, TensorNote
from service.featurelog.writer import FeatureLog
from service.http.answer import Answer, Headers
from service.http.errors import error_answer, status_of
from service.http.media import explained
from service.http.wire import Decoded, Wire
from service.pace import Pressure
from service.routing import Decision, RoutePolicy, choose, pin, route
from service.rows import Inputs, Matrix, PlainTensors, Table
from service.served import ServedVersion
from service.shadow import Shadows
from service.shadow_lane import Offer
from service.telemetry import Telemetry
from service.trace_context import said
from service.unexpected import tell, tell_failed

# Of the counters, into memory that all workers share: every tick instead costs 12 % of throughput, every 10 ms still 3 %.
PUBLISH_EVERY_S = 0.025
PUBLISH_IDLE_S = 1.0  # also where nobody asks: what the log's disk does between requests is told too


@dataclass(slots=True)
class Ask:
    """One predict request as it arrived, and what became known of it on its way."""

    wire: Wire
    model: str
    version: str | None
    request_id: str
    headers: Headers
    started_ns: int
    at_us: int = 0
    body: bytes = b""
    decision: Decision | None = None
    served: ServedVersion | None = None
    decoded: Decoded | None = None
    rows: int = 0
    outputs: Block | None = None
    wide_outputs: Sequence[TensorNote] = ()
    queue_us: int = 0
    compute_us: int = 0
    caller: Caller | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask for, and what happens when the log cannot take its record."""

    max_rows: int
    timeout_ms: float
    refuse_unlogged: bool
    override_header: bytes = b""  # by which testers choose; empty: none


class Predictor:
    """One a worker; called from its event loop."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        batcher: Batcher,
        shadows: Shadows,
        log: FeatureLog,
        telemetry: Telemetry,
        clock: Clock,
        limits: Limits,
        pressure: Pressure,
    ) -> None:
        self._catalogue, self._batcher, self._shadows = catalogue, batcher, shadows
        self._featurelog, self._telemetry, self._clock, self._limits = log, telemetry, clock, limits
        self._pressure, self._publish_due = pressure, False
        self.cutting = False  # from the end of the grace on, who is cancelled is cut off, and told so

    async def predict(self, ask: Ask) -> Answer:
        """The answer to a request whose body is read; its record is written when this returns."""
        self._shadows.asked += 1
        try:
            answer = await self._run(ask)
        except RequestError as error:
            if isinstance(error, RuntimeFailed | Internal):  # of the run; why it was a defect, the loop's handler says
                tell_failed("predict.run_failed", error, ask.served, **self._named(ask))
            return await self.settle_error(ask, error)
        except asyncio.CancelledError:
            if self.cutting:
                return await self.settle_error(ask, CutOff())
            # BentoML's own timeout: nobody waits for the answer, the record is still due
            late = DeadlineExceeded()
            record = self._record(ask, late.outcome, status_of(late), late.code, late)
            self._featurelog.append_request(record)
            self._count(ask, record)
            raise
        except Exception as error:  # the request edge: counted as failed, logged with the id
            tell("predict.failed", error, ask.served, **self._named(ask))
            return await self.settle_error(ask, Internal())
        if not await self._settle(ask, Outcome.ANSWERED, 200, "") and self._limits.refuse_unlogged:
            return error_answer(LogUnavailable(), ask.request_id, _headers(ask))
        if ask.decision is not None and ask.decision.shadows:
            self._offer(ask, ask.decision)
        return answer

    def _named(self, ask: Ask) -> dict[str, str]:
        """Which request it is, for a line of the log."""
        return {"request_id": ask.request_id, "model": ask.model[:MODEL_NAME_CHARS_MAX], **self._traced(ask)}

    def _traced(self, ask: Ask) -> dict[str, str]:
        """The trace of the request."""
        return said(ask.headers)

    def cut_off(self) -> None:
        """From now on a request that is cancelled is recorded and answered as cut off."""
        self.cutting = True

    async def settle_error(self, ask: Ask, error: RequestError) -> Answer:
        """Records a request that gets no prediction, and says why."""
        if isinstance(error, Overloaded):
            self._pressure.high = True  # the next ones are turned away before they are read
        error = explained(error, ask.headers)
        await self._settle(ask, error.outcome, status_of(error), error.code, error)
        return error_answer(error, ask.request_id, _headers(ask))

    async def _run(self, ask: Ask) -> Answer:
        ask.at_us = self._clock.arrival_us(ask.headers)
        snapshot = self._catalogue.current
        policy = snapshot.policy(ask.model)
        if ask.version is not None:
            ask.decision = pin(policy, ask.version)
            snapshot.version(ask.model, ask.version).used_ns = ask.started_ns
        elif self._limits.override_header and (wanted := _override(self._limits.override_header, ask)):
            ask.decision = choose(policy, wanted)
        elif policy.key_feature is None:
            ask.decision = route(policy, _header_key(policy, ask))
        else:
            ask.decision = route(policy, self._feature_key(policy, ask))
        version = ask.served = snapshot.version(ask.model, ask.decision.version)
        deadline_ns = ask.started_ns + int(timeout_ms(ask.headers, self._limits.timeout_ms) * 1e6)
        if time.monotonic_ns() > deadline_ns:
            raise DeadlineExceeded  # before decoding, which costs more than most answers are worth
        decoded = ask.decoded = ask.wire.decode(version, ask.body, ask.headers)
        ask.body = b""  # while it waits its tensors are what it holds, and the queue counts them
        ask.rows = decoded.inputs.n
        if ask.rows > self._limits.max_rows:
            raise TooManyRows(ask.rows, self._limits.max_rows)
        if decoded.timeout_ms < self._limits.timeout_ms:
            deadline_ns = min(deadline_ns, ask.started_ns + int(decoded.timeout_ms * 1e6))
        ran = await self._batcher.run(version, version.tensors(decoded.inputs), ask.rows, deadline_ns, ask.caller)
        ask.queue_us, ask.compute_us = ran.queue_us, ran.compute_us
        try:
            ask.outputs = version.outputs.block(ran.outputs, ask.rows)
        except RunFailed as error:
            raise RuntimeFailed(version.pin.ref, error.reason) from error
        if version.outputs.wide:
            ask.wide_outputs = _wide(version, ran.outputs)
        return ask.wire.encode(version, ran.outputs, decoded, ask.request_id, _headers(ask))

    def would_refuse(self, model: str, version: str | None, timeout_ms: int) -> Overloaded | None:
        """What the queue of the version that would answer says to one row more; None also where routing must decide."""
        snapshot = self._catalogue.current
        policy = snapshot.policies.get(model)
        if policy is None or (version is None and policy.canary is not None):
            return None
        served = snapshot.versions.get((model, version or policy.stable))
        if served is None:
            return None
        limit_ms = self._limits.timeout_ms
        longest_ms = min(limit_ms, timeout_ms) if timeout_ms else limit_ms
        return self._batcher.refusal(served, time.monotonic_ns() + int(longest_ms * 1e6))

    def flush(self) -> None:
        """Writes what was handed to the log and is waited for; the log's own turn comes later in the loop."""
        self._featurelog.hurry()

    def turn_away(self, ask: Ask, error: Shed) -> None:
        """Records a request that was refused unread; nobody waits for the write."""
        record = self._record(ask, error.outcome, status_of(error), error.code, error)
        self._featurelog.append_request(record)
        self._count(ask, record)

    def _feature_key(self, policy: RoutePolicy, ask: Ask) -> bytes:
        """The first row's value of the key feature, read by the stable version's contract."""
        stable = ask.served = self._catalogue.current.version(policy.model, policy.stable)
        decoded = ask.wire.decode(stable, ask.body, ask.headers)
        places = [place for place, column in enumerate(stable.contract.features) if column.name == policy.key_feature]
        if not places or isinstance(decoded.inputs, PlainTensors):
            return ask.request_id.encode()
        return str(decoded.inputs.rows[0][places[0]]).encode()

    async def _settle(
        self, ask: Ask, outcome: Outcome, status: int, code: str, error: RequestError | None = None
    ) -> bool:
        """Writes the record and counts it, also where the wait for it is cancelled; returns whether it is in the log."""
        record = self._record(ask, outcome, status, code, error)
        waiter, written = self._featurelog.append_request(record), True
        try:
            written = await waiter
        except asyncio.CancelledError:
            written = self._featurelog.is_written(waiter)
            if not self.cutting:
                raise  # nobody waits for the answer; at the end of the grace it stands, as its record says
            written = written and await self._featurelog.synced()
        finally:
            if not written and outcome is Outcome.ANSWERED and self._limits.refuse_unlogged:  # as the log counted it
                unlogged = LogUnavailable()
                record = replace(record, outcome=unlogged.outcome, status=status_of(unlogged), code=unlogged.code)
            self._count(ask, record)
        return written

    def _count(self, ask: Ask, record: Request) -> None:
        served = ask.served
        known = ask.model if served is not None or ask.model in self._catalogue.current.policies else ""
        self._telemetry.request(record, known, served.pin.version if served is not None else "")
        if not self._publish_due:
            self._publish_due = True
            self._featurelog.loop.call_later(PUBLISH_EVERY_S, self.publish)

    def publish(self) -> None:
        """Moves what was counted into the metrics of all workers; `kill -9` takes at most PUBLISH_EVERY_S of it there."""
        self._publish_due = False
        self._telemetry.publish(self._featurelog.logged, self._featurelog.dropped)
        log = self._featurelog
        self._telemetry.log_disk(log.fsync_failures, log.unsynced, log.reserve.held_bytes)

    async def keep_published(self) -> None:
        """Runs until cancelled."""
        while True:
            await asyncio.sleep(PUBLISH_IDLE_S)
            self.publish()

    def _record(self, ask: Ask, outcome: Outcome, status: int, code: str, error: RequestError | None) -> Request:
        served, decision = ask.served, ask.decision
        features: Block | None = None
        tensors: list[TensorNote] = []
        if served is not None and ask.decoded is not None and outcome is not Outcome.REJECTED:  # FORMAT.md §5.3
            features, tensors = _asked(served, ask.decoded.inputs)
        invalid = error if isinstance(error, InvalidInput) else None
        return Request(
            ask.at_us or self._clock.now_us(),
            ask.request_id,
            outcome,
            status,
            code,
            ask.wire.name,
            -1 if served is None else self._featurelog.schema_id(served.schema),
            ask.model[:MODEL_NAME_CHARS_MAX],
            "" if decision is None else decision.arm,
            -1 if decision is None else decision.bucket,
            0 if decision is None else decision.generation,
            ask.rows or (invalid.rows if invalid else 0),
            ask.queue_us,
            ask.compute_us,
            (time.monotonic_ns() - ask.started_ns) // 1000,
            features,
            ask.outputs,
            invalid.problems or None if invalid else None,
            [*tensors, *ask.wide_outputs] or None,
        )

    def _offer(self, ask: Ask, decision: Decision) -> None:
        assert ask.decoded is not None and ask.served is not None  # it was answered
        for name in decision.shadows:
            version = self._catalogue.current.versions.get((ask.model, name))
            if version is not None:
                self._shadows.offer(Offer(version, ask.request_id, ask.at_us, ask.decoded.inputs, ask.served))


def _override(header: bytes, ask: Ask) -> str:
    for name, value in ask.headers:
        if name == header:
            return value.decode("latin-1")
    return ""


def _header_key(policy: RoutePolicy, ask: Ask) -> bytes:
    if policy.key_header is not None:
        for name, value in ask.headers:
            if name == policy.key_header:
                return value
    return ask.request_id.encode()


def _headers(ask: Ask) -> Headers:
    headers = [(b"x-request-id", ask.request_id.encode())]
    if ask.served is not None and ask.decision is not None:
        headers.append((b"x-model-version", ask.served.header))
        headers.append((b"x-model-arm", ask.decision.arm.encode()))
    return headers


def _asked(served: ServedVersion, inputs: Inputs) -> tuple[Block | None, list[TensorNote]]:
    if isinstance(inputs, Table):
        return served.blocks.block(inputs.rows), []
    if isinstance(inputs, Matrix):
        return served.blocks.matrix(inputs.values), []
    hidden = served.hidden
    return None, [_hidden(name, a) if name in hidden else _note(name, a) for name, a in inputs.arrays.items()]


def _wide(served: ServedVersion, outputs: Sequence[Array]) -> list[TensorNote]:
    plan = served.outputs
    return [_note(plan.names[place], outputs[place]) for place in plan.wide]


def _hidden(name: str, array: Array) -> TensorNote:
    """A tensor that holds a private feature: a hash or a mean of few values would tell them."""
    return TensorNote(name, _datatype(array), array.shape, "", None, None)


def _datatype(array: Array) -> str:
    return np.dtype(array.dtype).name if array.dtype != object else "bytes"


def _note(name: str, array: Array) -> TensorNote:
    numbers = array.dtype != object
    data = array.tobytes() if numbers else repr(array.tolist()).encode()
    moments = (float(array.mean()), float(array.std())) if numbers and array.size else (None, None)
    return TensorNote(name, _datatype(array), array.shape, sha256(data).hexdigest(), *moments)
