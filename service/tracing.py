"""Is tracing on, and what is built for it? Settings to the sender of spans, without an import where there is none."""

from importlib import import_module
from typing import Any

from service.release import RELEASE
from service.settings import Settings
from service.span_sender import Exporter, SpanSender
from service.tracing_errors import TracingUnavailable


def sender_of(settings: Settings, instance: str) -> SpanSender | None:
    """None where tracing is off. Raises TracingUnavailable."""
    if not settings.otlp_endpoint:
        return None
    check_tracing(settings)
    exporter: Exporter = _otlp().OtlpExporter(settings.otlp_endpoint, release=RELEASE, instance=instance)
    return SpanSender(exporter)


def check_tracing(settings: Settings) -> None:
    """Raises TracingUnavailable where spans are asked for and cannot be sent."""
    if settings.otlp_endpoint:
        try:
            _otlp()
        except ImportError as error:
            raise TracingUnavailable(str(error)) from error


def _otlp() -> Any:
    """It imports the packages of the extra, 0.15 s and 12 MB: only where they are asked for."""
    return import_module("service.otlp")
