"""Which spans does one followed request leave?

    predict MODEL ─┬─ queue         waiting for the runtime
                   ├─ batch ── run  once for each batch that had rows of the request
                   └─ log append    from the making of the record until it is where `log_durability` wants it

Laws
- A child lies within its parent, whatever was measured.
- The runs of an answered request last `compute_us` together, and its wait `queue_us`: the figures of its record.
- No value of a row or an output, and no sentence of an error, is in them; the record says more than they do.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from service.featurelog.record import Request
from service.trace_context import Trace

PARTS_MAX = 32  # batches of one request: 10 000 rows are ten by default; further ones are not told
LINKS_MAX = 32  # other followed requests of one batch
FAILED_FROM = 500  # OpenTelemetry: what the client did wrong is no error of the server's span

Attributes = Mapping[str, str | int]


class Part(NamedTuple):
    """Rows of the request in one batch, by the monotonic clock; `others`: further followed requests in it."""

    began_ns: int
    ended_ns: int
    took_us: int
    rows: int
    batch_rows: int
    batch_requests: int
    others: tuple[Trace, ...] = ()


class Followed(NamedTuple):
    """A request that has ended, without its rows; by the monotonic clock, and what makes the wall clock's time of it."""

    trace: Trace
    attributes: Attributes
    status: int
    queue_us: int
    started_ns: int
    queued_ns: int  # 0: it did not come so far
    dequeued_ns: int  # where no batch had it
    recorded_ns: int
    ended_ns: int
    wall_less_monotonic_ns: int
    parts: Sequence[Part]


class Span(NamedTuple):
    """Times are the wall clock's; `failed`: the server did."""

    name: str
    start_ns: int
    end_ns: int
    attributes: Attributes
    links: tuple[Trace, ...] = ()
    children: tuple["Span", ...] = ()
    failed: bool = False


def attributes_of(record: Request, model: str, version: str) -> Attributes:
    """What the record says of its request; `model` and `version` are "" unless they are served here."""
    found: dict[str, str | int] = {
        "http.request.method": "POST",
        "http.response.status_code": record.status,
        "plumbline.request_id": record.request_id,
        "plumbline.protocol": record.protocol,
        "plumbline.outcome": str(record.outcome),
        "plumbline.rows": record.rows,
    }
    known = {"plumbline.model": model, "plumbline.version": version, "plumbline.arm": record.arm}
    found.update({name: value for name, value in known.items() if value})
    if record.code:
        found["error.type"] = record.code
    return found


def span_of(one: Followed) -> Span:
    """The request's own span, with those below it."""
    children = [*_queue(one), *(_batch(one, part) for part in one.parts)]
    children.append(_within(one, "log append", one.recorded_ns, one.ended_ns))
    model = one.attributes.get("plumbline.model", "")
    whole = _within(one, f"predict {model}" if model else "predict", one.started_ns, one.ended_ns, one.attributes)
    return whole._replace(children=tuple(children), failed=one.status >= FAILED_FROM)


def _queue(one: Followed) -> tuple[Span, ...]:
    if not one.queued_ns:
        return ()
    ended_ns = one.parts[0].began_ns if one.parts else one.dequeued_ns
    return (_within(one, "queue", ended_ns - one.queue_us * 1000 if one.queue_us else one.queued_ns, ended_ns),)


def _batch(one: Followed, part: Part) -> Span:
    """The run is told as its beginning; the copies that join rows come before it, and are a part of what is left."""
    about = {name: one.attributes[name] for name in ("plumbline.version", "plumbline.arm") if name in one.attributes}
    sizes = {"plumbline.batch.rows": part.batch_rows, "plumbline.batch.requests": part.batch_requests}
    run = _within(one, "run", part.began_ns, min(part.began_ns + part.took_us * 1000, part.ended_ns))
    batch = _within(
        one, "batch", part.began_ns, part.ended_ns, {**about, "plumbline.rows": part.rows, **sizes}, part.others
    )
    return batch._replace(children=(run,))


def _within(
    one: Followed,
    name: str,
    start_ns: int,
    end_ns: int,
    attributes: Attributes | None = None,
    links: tuple[Trace, ...] = (),
) -> Span:
    """By the wall clock, and within the request."""
    start_ns = min(max(start_ns, one.started_ns), one.ended_ns)
    end_ns = min(max(end_ns, start_ns), one.ended_ns)
    wall_ns = one.wall_less_monotonic_ns
    return Span(name, start_ns + wall_ns, end_ns + wall_ns, attributes or {}, links)
