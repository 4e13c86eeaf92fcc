"""The report: one HTML file without script, whose pictures and styles are inside, for the screen and for paper.

Law: whatever the service or the network said is text: nothing of it becomes markup.
"""

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from loadtests.load.joined import OUTCOMES, Counts
from loadtests.load.objective import Met, Missed, NothingRight, percent, sentence
from loadtests.load.outcome import Told
from loadtests.load.scraped import Page
from loadtests.load.seen import Outcome

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
NONE = "–"
PROBLEMS_MAX = 10


def document(told: Told, css: str, callers: str, service: str | None) -> str:
    """The whole file; `callers` and `service` are the pictures."""
    title = f"Load test: {told.scenario}, {told.began_at}"
    parts = [
        _header(told),
        _verdict(told),
        _section("At a glance", _tiles(told)),
        _section("Is everything accounted for?", _books(told)),
        _section("What callers saw", _figure("Users, requests and latency over time", callers), _marks(told)),
        _section("What the service says", *_service(told, service)),
        _section("By kind of request", _kinds(told), _problems(told)),
        _footer(told),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{escape(title)}</title>\n<style>\n{css}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _header(told: Told) -> str:
    users = f"up to {told.peak:,} users" + (f" in {told.processes} locust workers" if told.processes > 1 else "")
    return (
        f"<header><h1>Load test: {escape(told.scenario)}</h1>\n"
        f"<p>{escape(_capital(told.plan.what))}</p>\n"
        f"<p>{escape(told.url)} · {escape(told.began_at)} · {told.seconds:,.0f} s · {users}</p>\n"
        f"<p>{escape(told.machine)}</p></header>"
    )


def _verdict(told: Told) -> str:
    reasons: list[str] = []
    match told.verdict:
        case Missed(sentences):
            reasons += sentences
        case NothingRight():
            reasons.append("where nothing went right nothing can be said of latency")
        case Met():
            pass
    if not told.adds_up:
        reasons.append("requests are not all accounted for, see below")
    headline = sentence(told.verdict) if told.adds_up or reasons[:-1] else "The books do not add up"
    objective = told.objective
    asked = (
        f"Asked: p99 of at most {objective.p99_ms:,g} ms, at most {percent(objective.errors_share)} of requests wrong."
    )
    items = "".join(f"<li>{escape(one)}</li>" for one in reasons)
    return (
        f'<div class="verdict{"" if told.good else " bad"}"><strong>{escape(headline)}</strong>\n'
        f"<p>{asked} {_got(told)}</p>{f'<ul>{items}</ul>' if items else ''}</div>"
    )


def _got(told: Told) -> str:
    had = told.had
    p99 = f"p99 {_ms(had.p99_ms)}" if had.p99_ms is not None else "nothing right"
    return f"Found: {p99}, {percent(had.errors_share)} wrong ({had.errors:,} of {had.n:,})."


def _tiles(told: Told) -> str:
    seen = told.seen
    rates = sorted(sum(one.outcomes.values()) for one in seen.seconds(told.began_s))
    memory = [look.rss_bytes for look in told.looks if look.rss_bytes is not None]
    tiles = [
        ("predictions", f"{seen.n:,}", ""),
        ("mean", f"{seen.n / max(told.seconds, 1):,.0f}", "/s"),
        ("busiest second", f"{rates[-1]:,}" if rates else NONE, "/s"),
        ("went wrong", f"{seen.errors:,}", ""),
        *((f"p{share * 100:g}", *_apart(seen.quantile_ms(share))) for share in (0.5, 0.95, 0.99)),
    ]
    if memory:
        tiles.append(("memory", f"{memory[0] / 2**20:,.0f} → {memory[-1] / 2**20:,.0f}", "MiB"))
    shown = "".join(f"<div><dt>{name}</dt><dd>{value} <small>{unit}</small></dd></div>" for name, value, unit in tiles)
    return f'<dl class="tiles">{shown}</dl>'


def _books(told: Told) -> str:
    sides = [("locust's users", told.callers), ("service, /metrics", told.counters), ("feature log", told.log)]
    head = ["", "requests", *OUTCOMES, Outcome.UNANSWERED, "logged", "dropped"]
    rows = [[name, *_counts(side, name == sides[0][0])] for name, side in sides if side is not None]
    checks = "".join(f"<li{'' if one.holds else ' class=bad'}>{escape(one.says)}</li>" for one in told.equations)
    notes = "".join(f'<p class="note">{escape(one)}</p>' for one in told.notes)
    return _table(head, rows) + (f'<ul class="checks">{checks}</ul>' if checks else "") + notes


def _counts(side: Counts, of_callers: bool) -> list[str]:
    outcomes = [f"{side.of(one):,}" for one in OUTCOMES]
    lost = f"{side.of(Outcome.UNANSWERED):,}" if of_callers else NONE
    rest = [NONE if n is None else f"{n:,}" for n in (side.logged, side.dropped)]
    return [f"{side.received:,}", *outcomes, lost, *rest]


def _marks(told: Told) -> str:
    items = "".join(f"<li>{mark.at_s:,.0f} s: {escape(mark.says)}</li>" for mark in told.marks)
    return f'<ol class="marks">{items}</ol>' if items else ""


def _service(told: Told, picture: str | None) -> Iterator[str]:
    if told.counted is None or picture is None:
        yield '<p class="note">Its /metrics could not be read before and after the run.</p>'
        return
    yield _figure("What the service counted over time", picture)
    yield _versions(told.counted)
    refused = told.counted.by("plumbline_requests_total", "outcome", "code")
    reasons = [f"{n:,} {outcome} ({code})" for (outcome, code), n in refused.most_common() if code and n]
    inside = told.counted.quantile("plumbline_request_duration_seconds", 0.99)
    if inside is not None and (outside := told.had.p99_ms) is not None:
        yield (
            f'<p class="note">p99 inside the service {_ms(inside * 1000)}, p99 of callers {_ms(outside)}. Between both lie the '
            "network, the service's sockets, and locust itself.</p>"
        )
    yield f'<p class="note">Not answered, by reason: {escape(", ".join(reasons) or "none")}.</p>'


def _versions(counted: Page) -> str:
    head = ["version", "arm", "requests", "rows", "whole p50", "whole p99", "queue p99", "compute p99", "rows a run"]
    rows = []
    requests = counted.by("plumbline_requests_total", "model", "version", "arm")
    for (model, version, arm), n in sorted(requests.items()):
        if not n or not version:
            continue
        of = {"model": model, "version": version}
        times = (("duration", 0.5), ("duration", 0.99), ("queue", 0.99), ("compute", 0.99))
        spent = [counted.quantile(f"plumbline_request_{one}_seconds", share, **of, arm=arm) for one, share in times]
        batch = counted.mean("plumbline_batch_rows", **of)
        rows.append(
            [
                f"{model} {version}",
                arm,
                f"{n:,}",
                f"{counted.total('plumbline_rows_total', **of, arm=arm):,.0f}",
                *(_ms(one * 1000 if one is not None else None) for one in spent),
                NONE if batch is None else f"{batch:,.2f}",
            ]
        )
    return _table(head, rows)


def _kinds(told: Told) -> str:
    head = ["request", "count", "failures", "p50", "p95", "p99"]
    rows = [
        [kind.name, f"{kind.n:,}", f"{kind.failures:,}", _ms(kind.p50_ms), _ms(kind.p95_ms), _ms(kind.p99_ms)]
        for kind in told.kinds
    ]
    return _table(head, rows)


def _problems(told: Told) -> str:
    if not told.problems:
        return ""
    shown = "".join(f'<li class="bad">{n:,} × {escape(says[:300])}</li>' for n, says in told.problems[:PROBLEMS_MAX])
    more = len(told.problems) - PROBLEMS_MAX
    rest = f'<p class="note">and {more:,} more kinds of failure</p>' if more > 0 else ""
    return f'<ul class="checks">{shown}</ul>{rest}'


def _footer(told: Told) -> str:
    return (
        "<footer>Latency is what locust measured around each request, its own waiting for the processor included; "
        "quantiles are at most 5 % too high, never too low. What the service says of itself is measured inside, from its "
        "/metrics once a second; its quantiles are estimates within the buckets of a histogram.</footer>"
    )


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{title}</h2>\n" + "\n".join(part for part in parts if part) + "\n</section>"


def _figure(title: str, svg: str) -> str:
    named = svg.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)
    return f"<figure>{named}</figure>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col">{escape(str(cell))}</th>' for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _apart(value_ms: float | None) -> tuple[str, str]:
    return (NONE, "") if value_ms is None else (_number(value_ms), "ms")


def _ms(value_ms: float | None) -> str:
    return NONE if value_ms is None else f"{_number(value_ms)} ms"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
