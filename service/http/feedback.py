"""`POST /v1/models/{m}:feedback`: labels that become known later, as records of the log."""

from typing import Annotated

import msgspec
from msgspec import Meta

from service.catalogue import Catalogue
from service.clock import Clock
from service.errors import LogUnavailable, TooManyRows
from service.featurelog.record import Feedback as FeedbackRecord
from service.featurelog.writer import FeatureLog
from service.http import unreadable
from service.http.answer import Answer, Headers
from service.http.edge import Handler
from service.http.paths import Target, Verb
from service.rows import INT64
from service.telemetry import Telemetry

OBSERVED_AT_S_MAX = 253_402_300_800  # the end of the year 9999
_EXPECTED = '{"request_id", "row", "label", "observed_at"} or a list of them; observed_at in seconds since 1970'


class Label(msgspec.Struct, forbid_unknown_fields=True):
    """One label; `row` counts from 0 within the request, `observed_at` in seconds since 1970, absent: now."""

    request_id: Annotated[str, Meta(max_length=128)]  # a longer one was never given (http/edge.py)
    label: float | Annotated[int, INT64] | str | bool | None
    row: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    observed_at: Annotated[float, Meta(ge=0, le=OBSERVED_AT_S_MAX)] | None = None


_decoder = msgspec.json.Decoder(list[Label] | Label)


class Feedback:
    """Accepts labels; whether their request exists is found out where the log is read, however late they come."""

    def __init__(
        self, *, catalogue: Catalogue, log: FeatureLog, telemetry: Telemetry, clock: Clock, labels_max: int
    ) -> None:
        self._catalogue, self._featurelog, self._telemetry, self._clock = catalogue, log, telemetry, clock
        self._labels_max = labels_max

    def handlers(self) -> dict[Verb, Handler]:
        """One handler a verb."""
        return {Verb.FEEDBACK: self.accept}

    async def accept(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """202: all are with the operating system. Raises MalformedBody, TooManyRows, ModelUnknown, LogUnavailable."""
        self._catalogue.current.policy(target.model)
        try:
            decoded = _decoder.decode(body)
        except unreadable.Errors as error:
            raise unreadable.malformed(error, body, _EXPECTED) from error
        labels = decoded if isinstance(decoded, list) else [decoded]
        if len(labels) > self._labels_max:  # each is a record, and all are written in one turn of the loop
            raise TooManyRows(len(labels), self._labels_max)
        now_us = self._clock.now_us()
        waiting = []
        for label in labels:
            observed_us = now_us if label.observed_at is None else int(label.observed_at * 1e6)
            record = FeedbackRecord(now_us, label.request_id, label.row, label.label, observed_us)
            waiting.append(self._featurelog.append(record))
        if not all([await written for written in waiting]):
            raise LogUnavailable
        self._telemetry.feedback(len(labels))
        return Answer(202, msgspec.json.encode({"accepted": len(labels)}))
