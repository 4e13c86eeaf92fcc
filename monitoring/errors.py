"""Errors of the monitor, by who must act."""


class MonitorError(Exception):
    """The monitor cannot do what it is there for."""


class CheckpointInvalid(MonitorError):
    """The stored state cannot be read. The monitor starts again from the log; event ids stay the same."""

    def __init__(self, where: str, found: str, expected: str) -> None:
        super().__init__(where, found, expected)
        self.where, self.found, self.expected = where, found, expected

    def __str__(self) -> str:
        return (
            f"checkpoint {self.where}: found {self.found}, expected {self.expected}; the log is read from its beginning"
        )


class MonitorBusy(MonitorError):
    """Another monitor holds this home. Stop it, or give this one another home."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place

    def __str__(self) -> str:
        return f"{self.place}: locked by a live monitor, expected a free home; nothing was read or sent"


class SettingsInvalid(MonitorError):
    """A setting cannot be used. Who wrote it must mend it."""

    def __init__(self, where: str, found: str, expected: str) -> None:
        super().__init__(where, found, expected)
        self.where, self.found, self.expected = where, found, expected

    def __str__(self) -> str:
        return f"{self.where}: found {self.found}, expected {self.expected}; the monitor does not start"


class RecordsLetGo(MonitorError):
    """Retention took raw records of what is to be replayed. Who wants to replay that far back must keep them longer."""

    def __init__(self, begin: str, asked: str, consequence: str) -> None:
        """`begin`: from when on all raw records are there."""
        super().__init__(begin, asked, consequence)
        self.begin, self.asked, self.consequence = begin, asked, consequence

    def __str__(self) -> str:
        return (
            f"raw records before {self.begin} were archived and let go, expected those of {self.asked}; {self.consequence} "
            "(log_raw_keep_h and log_raw_bytes_max say how long raw records stay)"
        )


class AddressRefused(MonitorError):
    """The webhook's host is an address that the monitor must not call. Who configured it must allow it or change it."""

    def __init__(self, host: str, address: str) -> None:
        super().__init__(host, address)
        self.host, self.address = host, address

    def __str__(self) -> str:
        return (
            f"webhook host {self.host}: resolves to {self.address}, expected a public address "
            "(or webhook_allow_private_addresses = true); nothing was sent"
        )


class HostUnresolved(MonitorError):
    """The webhook's host has no address. The name or the resolver must be mended."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(host, reason)
        self.host, self.reason = host, reason

    def __str__(self) -> str:
        return (
            f"webhook host {self.host}: no address ({self.reason}), expected one; nothing was sent, it is tried again"
        )


class AdminUnreachable(MonitorError):
    """The service's admin API gives no answer that can be used. It is asked again. `asked`: has it heard the question?"""

    word = "unreachable"

    def __init__(self, url: str, found: str, *, asked: bool = True) -> None:
        super().__init__(url, found)
        self.url, self.found, self.asked = url, found, asked

    def __str__(self) -> str:
        return f"admin API at {self.url}: {self.found}, expected an answer; it is asked again"


class OutcomeUnknown(MonitorError):
    """The service was asked for a change and did not say what became of it. Who ordered it must look at the routes."""

    def __init__(self, url: str, found: str) -> None:
        super().__init__(url, found)
        self.url, self.found = url, found

    def __str__(self) -> str:
        return (
            f"admin API at {self.url}: {self.found}, expected an answer to the order; it is not known whether the routes "
            "were changed, look at them before it is ordered again"
        )


class AdminRefused(MonitorError):
    """The service's admin API refuses. Its sentence says who must act."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(status, code, sentence)
        self.status, self.code, self.sentence = status, code, sentence

    @property
    def word(self) -> str:
        """The code, as far as it is one that we know."""
        return self.code if self.code in KNOWN_REFUSALS else "other"

    def __str__(self) -> str:
        return f"admin API: {self.status} {self.code}: {self.sentence}"


KNOWN_REFUSALS = frozenset(
    {
        "not_authorised",
        "admin_disabled",
        "routes_conflict",
        "routes_refused",
        "routes_unavailable",
        "versions_not_loaded",
    }
)


class RolloutInvalid(MonitorError):
    """A rollout's document cannot be used. Who wrote it must mend it."""

    def __init__(self, where: str, found: str, expected: str) -> None:
        super().__init__(where, found, expected)
        self.where, self.found, self.expected = where, found, expected

    def __str__(self) -> str:
        return f"{self.where}: found {self.found}, expected {self.expected}; the rollout does not start"


class SegmentInvalid(MonitorError):
    """A declared segment means no rows of this version. Who declared it must mend it; the others are watched."""

    def __init__(self, declared: str, found: str, expected: str) -> None:
        super().__init__(declared, found, expected)
        self.declared, self.found, self.expected = declared, found, expected

    def __str__(self) -> str:
        return f"segment {self.declared!r}: found {self.found}, expected {self.expected}; it is not watched"


class HandsFull(MonitorError):
    """So much was said of alerts that no more is kept. Silences must end, or be made fewer and wider."""

    def __init__(self, path: str, words: int) -> None:
        super().__init__(path, words)
        self.path, self.words = path, words

    def __str__(self) -> str:
        return f"{self.path}: {self.words} words that still hold, expected fewer; nothing was added"


class EventUnknown(MonitorError):
    """No event of this id is kept. Who named it must look at `plumbline monitor events`."""

    def __init__(self, event: str) -> None:
        super().__init__(event)
        self.event = event

    def __str__(self) -> str:
        return f"event {self.event!r}: none such is kept, expected an id that `plumbline monitor events` lists"


class WordInvalid(MonitorError):
    """What was said of an alert cannot be used. Who said it must say it otherwise."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(found, expected)
        self.found, self.expected = found, expected

    def __str__(self) -> str:
        return f"found {self.found}, expected {self.expected}; nothing was changed"
