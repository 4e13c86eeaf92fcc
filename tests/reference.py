"""Writes docs/reference.md from the code: `python -m tests.reference`; a test holds the page against what this gives."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec
from prometheus_client.metrics import MetricWrapperBase
from pydantic_settings import BaseSettings

import monitoring.settings
import service.settings
from monitoring.dispatch.receiver_settings import ReceiverSettings
from monitoring.exporter import StatusCollector
from monitoring.rules import Rules
from monitoring.status import LogStatus, LoopStatus, OutboxStatus, Status
from service.featurelog import record
from service.http.errors import STATUS
from service.telemetry import Telemetry
from tests.bad_inputs.edge import WITHOUT_TOKEN
from tests.bad_inputs.keys import KEYED
from tests.bad_inputs.limits import SETTINGS
from tests.bad_inputs.row import Bad
from tests.bad_inputs.table import TABLES

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference.md"


def page() -> str:
    """The whole page."""
    return "\n".join([*_head(), *_settings(), *_metrics(), *_errors(), *_bad_inputs(), *_records()]) + "\n"


def _head() -> Iterator[str]:
    yield "# Reference"
    yield ""
    yield "Written from the code by `python -m tests.reference`; a test fails when it no longer tells the truth."


def _settings() -> Iterator[str]:
    yield from ("", "## Settings", "")
    yield "Keys of `<home>/plumbline.toml`, in the table named, and environment variables; the environment wins."
    parts: tuple[tuple[str, type[BaseSettings], str], ...] = (
        ("service", service.settings.Settings, "PLUMBLINE_"),
        ("monitor", monitoring.settings.Settings, "PLUMBLINE_MONITOR_"),
    )
    for table, settings, prefix in parts:
        yield from ("", f"### `[{table}]`", "", "| key | environment | default | what |", "|---|---|---|---|")
        for name, field in settings.model_fields.items():
            variable = field.validation_alias or f"{prefix}{name.upper()}"
            default = field.get_default(call_default_factory=True)
            shown = "" if default is None else f"`{default}`"
            yield f"| `{name}` | `{variable}` | {shown} | {_sentence(field.description or '')} |"

    yield from ("", "### `[[monitor.receivers]]`", "", "One table a receiver; docs/alerts.md has examples.", "")
    yield from ("| key | default | what |", "|---|---|---|")
    for name, field in ReceiverSettings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = "needed" if field.is_required() else "" if default is None else f"`{default}`"
        yield f"| `{name}` | {shown} | {_sentence(field.description or '')} |"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".")


def _metrics() -> Iterator[str]:
    yield from ("", "## Metrics", "", "Counters end in `_total` on the page that Prometheus reads.")
    yield from ("", "### Service, port 3000", "", "| metric | kind | labels | what |", "|---|---|---|---|")
    for instrument in _service_instruments():
        about: Any = instrument
        yield f"| `{about._name}` | {about._type} | {_labels(about._labelnames)} | {_sentence(about._documentation)} |"
    yield from ("", "### Monitor, port 3001", "", "| metric | kind | labels | what |", "|---|---|---|---|")
    for family in StatusCollector(lambda: EMPTY).collect():
        labels = getattr(family, "_labelnames", ())
        yield f"| `{family.name}` | {family.type} | {_labels(labels)} | {_sentence(family.documentation)} |"


def _service_instruments() -> list[MetricWrapperBase]:
    found: list[MetricWrapperBase] = []
    for value in vars(Telemetry()).values():
        group = value if isinstance(value, dict) else getattr(value, "__dict__", {})
        values = [value] if isinstance(value, MetricWrapperBase) else group.values()
        found += [one for one in values if isinstance(one, MetricWrapperBase)]
    return found


def _labels(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _errors() -> Iterator[str]:
    yield from ("", "## Error codes", "", "| code | status | outcome | meaning |", "|---|---|---|---|")
    for error, status in sorted(STATUS.items(), key=lambda item: (item[1], item[0].code)):
        meaning = (error.__doc__ or "").strip().splitlines()[0]
        yield f"| `{error.code}` | {status} | {error.outcome.value} | {_sentence(meaning)} |"


def _bad_inputs() -> Iterator[str]:
    yield from ("", "## Bad input, and what is answered", "")
    yield f"With {_changed()}, both demo models and an admin token. A test sends each of these requests and holds the"
    yield "whole answer against this table. `…` stands for the rest of a row or a tensor, which is as it should be. Of the"
    yield "details only those are shown that the sentence leaves out."
    for title, rows in {
        **TABLES,
        "Without an admin token": (WITHOUT_TOKEN,),
        "With `api_keys = required`": KEYED,
    }.items():
        yield from ("", f"### {title}", "", "| what is wrong | request | status, code | answer |", "|---|---|---|---|")
        yield from map(_bad_input, rows)


def _changed() -> str:
    return " and ".join(f"`{key.removeprefix('PLUMBLINE_').lower()} = {value}`" for key, value in SETTINGS.items())


def _bad_input(row: Bad) -> str:
    sent = [f"{row.method} {row.path}", *(f"{name}: {value[:40]}" for name, value in row.headers.items())]
    request = "<br>".join(_code(part) for part in [*sent, row.body.shown] if part)
    told = [_cell(row.error), *(_cell(f"{at}: {problem}") for at, problem in row.details[1:])]
    code = f" `{row.code}`" if row.code else ""
    return f"| {row.what} | {request} | {row.status}{code} | {'<br>'.join(told) or 'a prediction'} |"


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


def _cell(text: str) -> str:
    """A sentence; what a page of Markdown would take for markup is shown as it is."""
    return text.translate({ord(mark): f"\\{mark}" for mark in "|<>*`"})


def _records() -> Iterator[str]:
    yield from (
        "",
        "## Record fields",
        "",
        "In the order in which they are written; `service/featurelog/FORMAT.md` says what they mean.",
    )
    for payload in get_args(record.Payload):
        info: Any = msgspec.inspect.type_info(payload)
        fields = ", ".join(f"`{field.name}`" for field in info.fields)
        yield from ("", f"- **{info.tag}**: {fields}")


def _empty(counters: Mapping[str, int]) -> Status:
    log = LogStatus({}, True, 0, 0.0, None, counters, {}, {})
    return Status((), (), OutboxStatus(None), log, LoopStatus(0, 0, "", 0, 0, 0, 0, 0), Rules())


EMPTY = _empty({})


def main() -> None:
    """Writes the page."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
