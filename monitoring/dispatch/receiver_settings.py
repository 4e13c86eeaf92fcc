"""What can be set of a receiver: one `[[monitor.receivers]]` table of plumbline.toml; secrets from files or the environment.

Law: a secret never stands in the table, and never in a `Receiver`; it is read at the start, once, and goes to its sender only.
"""

import os
import re
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from monitoring.dispatch.line import LINE, NAME, OWN, is_name, line_fault, means_secret
from monitoring.dispatch.receiver import STARTS_SOMETHING, Kind, Receiver
from monitoring.dispatch.template import problem
from monitoring.dispatch.url import URL, url_fault
from monitoring.durations import seconds
from monitoring.errors import SettingsInvalid
from monitoring.secret import from_file, from_variable, usable

RECEIVERS_MAX = 32  # series and tasks; more than that want an Alertmanager in between
INPUTS_MAX = 10  # of a workflow, on every GitHub there is
HEADERS_MAX = 20
KEEP_ALIVE_S = 60.0  # Alertmanager's clients repeat every 30 s to 3 min
CHAT_GROUP_S = 30.0  # people read one message; Alertmanager's own default is 30 s
_NAME = r"^[A-Za-z0-9_.-]*$"  # what stands in a path as it is
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)  # of Prometheus' data model, which Alertmanager's API checks
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
GITHUB_URL = "https://api.github.com"

Seconds = Annotated[float, BeforeValidator(seconds)]


class ReceiverSettings(BaseModel):
    """One table."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_-]{0,31}$",
        description="what it is called in states, metrics and commands; `webhook` is taken",
    )
    kind: Kind = Field(description="whose contract it keeps: webhook, alertmanager, airflow, github or slack")
    url: str | None = Field(
        None, description="where it answers; of Alertmanager, Airflow and GitHub without the path of their API"
    )
    url_file: Path | None = Field(
        None, description="file that holds the url, where the url is a secret, as Slack's are"
    )
    url_env: str | None = Field(None, description="environment variable that holds it")
    models: tuple[str, ...] = Field(("*",), description="models that it is told of, as patterns of a shell")
    retrain: bool | None = Field(
        None,
        description="whether a send costs a retraining, so that gate and budget apply; default: webhook, airflow, github",
    )
    resolved: bool | None = Field(
        None,
        description="whether it is told of an incident's end; default: alertmanager only; never airflow and github",
    )
    repeat: Seconds | None = Field(
        None, ge=0, description="how often an open incident is told again; default: alertmanager 60 s, others never (0)"
    )
    group: Seconds | None = Field(
        None, ge=0, le=3600, description="incidents of one model within it become one message; slack only, default 30 s"
    )
    dry_run: bool = Field(False, description="decide and show, send nothing")
    headers: dict[str, str] = Field(
        default_factory=dict, description="sent with each message; by value, so none whose name means a secret"
    )
    headers_file: dict[str, Path] = Field(
        default_factory=dict, description="headers that hold secrets, each with the file that its value is in"
    )
    headers_env: dict[str, str] = Field(
        default_factory=dict, description="the same, each with the environment variable that holds its value"
    )
    template: str | None = Field(None, description="body in place of the event, with `${field}`s of it; webhook only")
    content_type: str | None = Field(
        None, description="of the body; default: CloudEvents, of a template `application/json`"
    )
    secret_file: Path | None = Field(None, description="file with the signing secret, `whsec_…`; webhook only")
    secret_env: str | None = Field(None, description="environment variable that holds it")
    token_file: Path | None = Field(None, description="file with what the `Authorization` header says after its scheme")
    token_env: str | None = Field(None, description="environment variable that holds it")
    token_scheme: Literal["Bearer", "Basic"] = Field(
        "Bearer", description="the scheme; `Basic` wants base64 of user:password"
    )
    labels: dict[str, str] = Field(
        default_factory=dict, max_length=20, description="more labels of the alert; alertmanager only"
    )
    dag: str = Field("", pattern=_NAME, description="DAG that is run; airflow only")
    airflow_api: Literal["v1", "v2"] = Field("v2", description="v1 of Airflow 2, v2 of Airflow 3")
    repository: str = Field("", description="`owner/name`; github only")
    workflow: str = Field("", pattern=_NAME, description="file name or id of the workflow that is run; github only")
    ref: str = Field("main", description="branch or tag that it is run on; github only")
    inputs: dict[str, str] = Field(
        default_factory=dict,
        max_length=INPUTS_MAX,
        description="the workflow's inputs, as templates; default: event_id, model, version, reason; github only",
    )
    ca_file: Path | None = Field(None, description="certificates that vouch for the receiver, beside the public ones")
    allow_private_addresses: bool | None = Field(
        None,
        description="call private, link-local and loopback addresses; default: only where the url names loopback itself",
    )
    timeout_s: float | None = Field(
        None, gt=0, le=60, description="longest that one attempt may take; default: as the webhook"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        wrong = next((says for says, broken in _RULES if broken(self)), None)
        if wrong is not None:
            raise ValueError(f"receiver {self.name}: {wrong}")
        for text in (self.template, *self.inputs.values()):
            if text is not None and (fault := problem(text)) is not None:
                raise ValueError(f"receiver {self.name}: template: {fault}")
        return self

    def receiver(self) -> Receiver:
        """What the core knows of it."""
        alertmanager, slack = self.kind is Kind.ALERTMANAGER, self.kind is Kind.SLACK
        return Receiver(
            name=self.name,
            kind=self.kind,
            models=self.models,
            retrains=self.kind in STARTS_SOMETHING if self.retrain is None else self.retrain,
            resolved=alertmanager if self.resolved is None else self.resolved,
            repeat_s=(KEEP_ALIVE_S if alertmanager else 0.0) if self.repeat is None else self.repeat,
            group_s=(CHAT_GROUP_S if slack else 0.0) if self.group is None else self.group,
            dry_run=self.dry_run,
            template=self.template,
            content_type=self.content_type,
            dag=self.dag,
            api=self.airflow_api,
            repository=self.repository,
            workflow=self.workflow,
            ref=self.ref,
            inputs=self.inputs,
            labels=self.labels,
        )

    def address(self, environment: Mapping[str, str] = os.environ) -> str:
        """Its url. Raises SettingsInvalid."""
        default = GITHUB_URL if self.kind is Kind.GITHUB else None
        found = self.url or self._read("url", self.url_file, self.url_env, environment) or default
        if found is None:
            raise SettingsInvalid(f"receiver {self.name}", "no url", "url, url_file or url_env")
        fault = url_fault(found)
        if fault is not None:
            raise SettingsInvalid(f"receiver {self.name} url", fault, URL)
        return found

    def secret(self, environment: Mapping[str, str] = os.environ) -> str | None:
        """What it signs with. Raises SettingsInvalid."""
        found = self._secret("secret", self.secret_file, self.secret_env, environment)
        if self.kind is Kind.WEBHOOK and found is None:
            raise SettingsInvalid(f"receiver {self.name}", "no secret", "secret_file or secret_env to sign with")
        return found

    def authorization(self, environment: Mapping[str, str] = os.environ) -> str | None:
        """The header of that name. Raises SettingsInvalid."""
        token = self._secret("token", self.token_file, self.token_env, environment)
        return None if token is None else f"{self.token_scheme} {token}"

    def header_names(self) -> list[str]:
        """Of all that is sent beside what the kind asks for, in small letters."""
        return [name.lower() for name in (*self.headers, *self.headers_file, *self.headers_env)]

    def all_headers(self, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Those of the table and those that hold secrets, by their names in small letters. Raises SettingsInvalid."""
        found = dict(self.headers)
        for name, file in self.headers_file.items():
            where = f"receiver {self.name} headers_file.{name}"
            found[name] = usable(where, from_file(where, file))
        for name, variable in self.headers_env.items():
            where = f"receiver {self.name} headers_env.{name}"
            found[name] = usable(where, from_variable(where, variable, environment))
        return {name.lower(): value for name, value in found.items()}

    def trusted(self) -> ssl.SSLContext | None:
        """Whose certificates are believed; None: the public ones. Raises SettingsInvalid."""
        if self.ca_file is None:
            return None
        context = ssl.create_default_context()
        try:
            context.load_verify_locations(cafile=self.ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise SettingsInvalid(
                f"receiver {self.name} ca_file", str(error), "a readable file of certificates"
            ) from error
        return context

    def _secret(self, what: str, file: Path | None, name: str | None, environment: Mapping[str, str]) -> str | None:
        found = self._read(what, file, name, environment)
        return None if found is None else usable(f"receiver {self.name} {what}", found)

    def _read(self, what: str, file: Path | None, name: str | None, environment: Mapping[str, str]) -> str | None:
        where = f"receiver {self.name} {what}"
        if name is not None:
            return from_variable(f"{where}_env", name, environment)
        return None if file is None else from_file(f"{where}_file", file)


def _not(*kinds: Kind) -> "_Rule":
    return lambda one: one.kind not in kinds


def _both(first: "_Rule", second: "_Rule") -> "_Rule":
    return lambda one: first(one) and second(one)


_Rule = Callable[[ReceiverSettings], bool]
_RULES: tuple[tuple[str, _Rule], ...] = (
    ("`webhook` is the name of webhook_url", lambda one: one.name == "webhook"),
    ("a template is for webhook", _both(lambda one: one.template is not None, _not(Kind.WEBHOOK))),
    ("a secret is for webhook", _both(lambda one: bool(one.secret_file or one.secret_env), _not(Kind.WEBHOOK))),
    ("group is for slack", _both(lambda one: bool(one.group), _not(Kind.SLACK))),
    ("labels are for alertmanager", _both(lambda one: bool(one.labels), _not(Kind.ALERTMANAGER))),
    ("dag is for airflow", _both(lambda one: bool(one.dag), _not(Kind.AIRFLOW))),
    (
        "repository, workflow and inputs are for github",
        _both(lambda one: bool(one.repository or one.workflow or one.inputs), _not(Kind.GITHUB)),
    ),
    ("airflow needs dag", lambda one: one.kind is Kind.AIRFLOW and not one.dag),
    (
        "github needs repository as owner/name, and workflow",
        lambda one: one.kind is Kind.GITHUB and not (_REPOSITORY.fullmatch(one.repository) and one.workflow),
    ),
    (
        "airflow and github start work, so they hear of no end",
        lambda one: one.kind in (Kind.AIRFLOW, Kind.GITHUB) and bool(one.resolved),
    ),
    ("what is retrained is asked for once, so no repeat", lambda one: bool(one.repeat) and one.receiver().retrains),
    ("alertmanager needs a repeat", lambda one: one.kind is Kind.ALERTMANAGER and one.repeat == 0),
    (
        "a label's name is letters, digits and _, and begins with no digit",
        lambda one: not all(map(_LABEL.fullmatch, one.labels)),
    ),
    (
        "a secret in headers: headers_file and headers_env are for those",
        lambda one: any(map(means_secret, one.headers)),
    ),
    (f"a header's name is {NAME}", lambda one: not all(map(is_name, one.header_names()))),
    (f"a header's value is {LINE}", lambda one: any(map(line_fault, one.headers.values()))),
    ("a header that the monitor writes itself", lambda one: not OWN.isdisjoint(one.header_names())),
    ("a header twice", lambda one: len(set(one.header_names())) < len(one.header_names())),
    (f"at most {HEADERS_MAX} headers", lambda one: len(one.header_names()) > HEADERS_MAX),
    (
        "token_file and token_env are the header authorization",
        lambda one: bool(one.token_file or one.token_env) and "authorization" in one.header_names(),
    ),
)
