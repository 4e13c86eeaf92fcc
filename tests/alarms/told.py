"""Who was told what: every alert that Alertmanager passed on, by name and home."""

from typing import Any, NamedTuple

from tests.processes import wait_until

TOLD_WITHIN_S = 240.0  # the longest `for` is half a minute here; the rest is for machines that do much else


class Said(NamedTuple):
    """One alert as a receiver got it."""

    receiver: str
    labels: dict[str, str]
    annotations: dict[str, str]


class Told:
    """Reads what a pager collects; `messages` grows while it is looked at."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self._messages = messages

    def all(self) -> list[Said]:
        """Every alert that was said to fire, oldest first."""
        return [
            Said(message["receiver"], alert["labels"], alert["annotations"])
            for message in list(self._messages)
            for alert in message["alerts"]
            if alert["status"] == "firing"
        ]

    def of(self, alert: str, home: str) -> list[Said]:
        return [one for one in self.all() if (one.labels["alertname"], one.labels.get("home")) == (alert, home)]

    def wait_for(self, alert: str, home: str) -> Said:
        """The first of this name and home, which must come."""
        return wait_until(lambda: self.of(alert, home), TOLD_WITHIN_S, f"{alert} of the home {home} is told")[0]
