"""Errors of tracing; `errors.py` says what they have in common. No request ever sees one."""


class TracingError(Exception):
    """Spans cannot be sent."""


class TracingUnavailable(TracingError):
    """Tracing is asked for and the packages that send spans are not installed."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found

    def __str__(self) -> str:
        return (
            f"otlp_endpoint: found {self.found}, expected the extra `tracing`: pip install 'plumbline[tracing]'; "
            "not serving without the traces that are asked for"
        )


class ExportFailed(TracingError):
    """The collector did not take a batch of spans."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason
