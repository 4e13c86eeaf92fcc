"""Whom may an incident be told, and on which terms? One receiver of the settings, without its secrets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from monitoring.dispatch.facts import Facts


class Kind(StrEnum):
    """Whose contract a receiver keeps."""

    WEBHOOK = "webhook"
    ALERTMANAGER = "alertmanager"
    AIRFLOW = "airflow"
    GITHUB = "github"
    SLACK = "slack"


STARTS_SOMETHING = frozenset({Kind.WEBHOOK, Kind.AIRFLOW, Kind.GITHUB})  # by default a retraining; the others only tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """`retrains`: a send costs a retraining, so budget and gate apply; `resolved`: it is told of the end too; `repeat_s`: an
    open incident is told again so often, 0: never; `group_s`: incidents of one model within it become one message.

    What a kind needs besides: `dag`, `api` (Airflow), `repository`, `workflow`, `ref`, `inputs` (GitHub), `labels`
    (Alertmanager), `template` and `content_type` (webhook).
    """

    name: str
    kind: Kind
    models: tuple[str, ...] = ("*",)
    retrains: bool = True
    resolved: bool = False
    repeat_s: float = 0.0
    group_s: float = 0.0
    dry_run: bool = False
    template: str | None = None
    content_type: str | None = None
    dag: str = ""
    api: str = "v2"
    repository: str = ""
    workflow: str = ""
    ref: str = "main"
    inputs: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def wants(self, facts: Facts) -> bool:
        """Is it told of this event at all?"""
        return (self.resolved or not facts.ended) and any(fnmatchcase(facts.model, one) for one in self.models)
