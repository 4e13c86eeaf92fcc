"""What can be set: `[monitor]` of `<home>/plumbline.toml` and `PLUMBLINE_MONITOR_…`, read once, frozen.

Laws
- A flag wins over the environment, the environment over the file, the file over the default; an unknown key stops the
  start.
- The webhook's secret and the admin API's token come from `PLUMBLINE_WEBHOOK_SECRET` and `PLUMBLINE_ADMIN_TOKEN` or from a
  file, never from plumbline.toml, which is meant to be committed.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from models.keys import Mode
from models.task import Asked, TaskKind
from monitoring.budget import MINUTES_PER_30_DAYS
from monitoring.dispatch.decide import Policy
from monitoring.dispatch.receiver_settings import RECEIVERS_MAX, ReceiverSettings
from monitoring.dispatch.url import URL, url_fault
from monitoring.durations import seconds
from monitoring.errors import SettingsInvalid
from monitoring.rules import Rules
from monitoring.secret import from_file, usable
from monitoring.tier import SLICES_MAX
from monitoring.window import MINUTE_S

FILE = "plumbline.toml"
TABLE = "monitor"
HOME = Path(".plumbline")
WINDOW_S_MAX = SLICES_MAX * MINUTES_PER_30_DAYS * MINUTE_S  # a longer window has no look in the 30 days of the budget
# The settings that `Settings.rules` reads: what a back-test may change.
RULE_KEYS = frozenset(
    {
        "budget_alarms_per_30_days", "collapse_ratio", "cooldown_s", "drift_windows", "hold_s", "keys_max",
        "label_mature", "label_rows_max", "label_wait_max", "labels", "lateness_s", "loss_tolerance", "n_min_rows",
        "segment_learning", "segment_rows_min", "segment_windows", "segments", "segments_max", "shadow_window",
        "skew_tolerance", "state_bytes_max", "tolerance_floor_psi", "tolerances_psi", "traffic_window",
        "volume_ratio",
    }
)  # fmt: skip


def _listed(value: object) -> object:
    parts = value.strip("[] ").split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        return value
    return tuple(seconds(part.strip(" \"'") if isinstance(part, str) else part) for part in parts)


def _asked(value: object) -> object:
    """Tables by model as what a person says of its labels."""
    try:
        return msgspec.convert(value, dict[str, Asked])
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def _whole_minutes(value: int) -> int:
    if value < MINUTE_S or value % MINUTE_S:
        raise ValueError("expected whole minutes, at least one")
    return value


def _within_the_budget(value: int) -> int:
    if value > WINDOW_S_MAX:
        raise ValueError(f"expected at most {WINDOW_S_MAX // 86_400} days")
    return value


Window = Annotated[int, AfterValidator(_whole_minutes), BeforeValidator(seconds)]
Windows = Annotated[
    tuple[Annotated[int, AfterValidator(_whole_minutes), AfterValidator(_within_the_budget)], ...],
    NoDecode,
    BeforeValidator(_listed),
]


class Settings(BaseSettings):
    """Everything that can be set about the monitor."""

    model_config = SettingsConfigDict(
        env_prefix="PLUMBLINE_MONITOR_", frozen=True, extra="forbid", populate_by_name=True
    )

    home: Path = Field(HOME, description="directory that holds the log, the registry and the monitor's own state")
    host: str = Field("127.0.0.1", description="address that the console, /metrics, /healthz and /api/status listen on")
    port: int = Field(3001, ge=0, le=65_535, description="port of the same; 0 lets the kernel choose")
    hosts: tuple[str, ...] = Field(
        (),
        description="names of proxies before the console: it answers to them, beside localhost and `host`, where no API key is "
        "asked for, and takes changes from pages under them",
    )
    api_keys: Mode = Field(
        "auto",
        description="whether /metrics and /api/status ask for an API key of the scope `read`: always (required), never (off), "
        "or where another address than loopback is bound (auto)",
    )

    webhook_url: str | None = Field(
        None,
        description="where retrain requests are posted, the receiver `webhook`; without any receiver they wait in the outbox",
    )
    webhook_secret: SecretStr | None = Field(
        None, validation_alias="PLUMBLINE_WEBHOOK_SECRET", description="signing secret, `whsec_…` (base64)"
    )
    webhook_secret_file: Path | None = Field(None, description="file that holds the signing secret")
    webhook_allow_private_addresses: bool | None = Field(
        None,
        description="call private, link-local and loopback addresses; default: only where the url names loopback itself",
    )
    webhook_timeout_s: float = Field(20.0, gt=0, le=60, description="longest that one attempt may take")
    webhook_retry_first_s: float = Field(
        5.0, gt=0, description="wait after the first failed attempt; doubles each time"
    )
    webhook_retry_longest_s: float = Field(900.0, gt=0, description="longest wait between attempts")

    receivers: tuple[ReceiverSettings, ...] = Field(
        (), max_length=RECEIVERS_MAX, description="more receivers, one table each; in the environment as JSON"
    )
    dry_run: bool = Field(False, description="decide, keep and show events, send none of them, also later")
    retrain_max_per_day: int | None = Field(
        None, ge=0, description="incidents a model that may be sent to be retrained in 24 hours; beyond, they are held"
    )
    retrain_gate: Literal["open", "loss"] = Field(
        "open", description="ask for retraining at every incident (open), or only where the loss rose (loss)"
    )
    gate_without_labels: Literal["send", "hold"] = Field(
        "send", description="what the gate does where nothing is known of the loss"
    )

    traffic_window: Window = Field(300, description='window of rates and latency, such as "5m"')
    shadow_window: Window = Field(3600, description='window in which shadows are compared with answers, such as "1h"')
    drift_windows: Windows = Field(
        Rules.drift_windows_s,
        description='windows of drift and skew, such as ["1h", "24h"]; many, so that a large shift is seen in minutes and '
        "a small one in hours",
    )
    budget_alarms_per_30_days: float = Field(
        1.0, gt=0, description="false alarms a model may raise in 30 days, all checks together"
    )
    n_min_rows: int = Field(100, ge=20, description="rows below which a window is not judged")
    tolerance_floor_psi: float = Field(0.01, gt=0, description="drift that never matters, in PSI")
    tolerances_psi: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="drift tolerance by model, in place of the learnt one"
    )
    skew_tolerance: float = Field(
        0.01, gt=0, lt=1, description="share of odd rows above the training rate that never matters"
    )
    labels: Annotated[dict[str, Asked], BeforeValidator(_asked)] = Field(
        default_factory=dict,
        description="what is predicted, by model, where the outputs do not say it: `[monitor.labels.<model>]` with `kind` "
        "(binary, classes, number), `output` (a column) and `positive` (a class)",
    )
    label_rows_max: int = Field(
        50_000, ge=100, description="predictions of a version that wait for a label at once; beyond, a sample of them"
    )
    label_wait_max: Annotated[int, Field(gt=0), BeforeValidator(seconds)] = Field(
        45 * 86_400, description='how long a prediction waits for its label, such as "45d"'
    )
    label_mature: Annotated[int, Field(ge=0), BeforeValidator(seconds)] = Field(
        0,
        description="how old a prediction must be before its label counts for the alarm: as long as the slowest outcome takes, "
        "where some outcomes are known sooner than others",
    )
    loss_tolerance: float = Field(
        0.03, gt=0, description="rise of the loss that never matters, as a share of the reference's"
    )
    collapse_ratio: float = Field(
        0.2, gt=0, le=0.4, description="share of its training share below which a category has collapsed"
    )
    volume_ratio: float = Field(
        2.0, gt=1, description="so many times more or fewer rows in an hour than usual at that time never matter"
    )
    segments: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="parts of the rows that are watched on their own, by model: features of categories, and expressions "
        'such as "amount > 1000"',
    )
    segments_max: int = Field(
        16, ge=0, le=64, description="segments a version may have; declarations beyond are refused"
    )
    segment_windows: Windows = Field(
        (3600, 14_400, 86_400, 604_800), description='windows of the segments, such as ["1h", "24h"]'
    )
    segment_learning: Window = Field(
        604_800, description='how long a segment is learnt before it is judged, such as "7d": as long as its seasons'
    )
    segment_rows_min: int = Field(1000, ge=100, description="rows that a segment is learnt from at least")
    hold_s: int = Field(60, ge=0, description="how long a breach or a clear must last before it counts")
    cooldown_s: int = Field(3600, ge=0, description="how long after an incident a relapse belongs to it")
    lateness_s: int = Field(5, ge=0, description="how late a record may come and still be judged with its minute")

    poll_interval_s: float = Field(0.5, gt=0, description="pause between looks at the log when nothing is new")
    checkpoint_interval_s: float = Field(5.0, ge=0, description="longest between checkpoints while records come")
    records_max: int = Field(50_000, ge=1, description="records of one read: bounds the memory of a tick")
    keys_max: int = Field(
        200, ge=1, description="versions × arms that are counted; beyond, requests are counted as refused"
    )
    state_bytes_max: int = Field(128 * 1024 * 1024, ge=1024 * 1024, description="bytes of counts; beyond, as keys_max")
    outbox_pending_max: int = Field(
        1000, ge=1, description="undelivered incidents kept for each receiver; beyond, new ones are refused and counted"
    )
    outbox_delivered_kept: int = Field(1000, ge=1, description="delivered events kept, so that none is sent again")
    reserve_bytes: int = Field(
        4 * 1024 * 1024,
        ge=0,
        description="space held back, so that on a full disk events and checkpoints can still be written; 0: none",
    )
    archive_interval_s: float = Field(
        60.0,
        ge=0,
        description="pause between looks for sealed segments, which a process of its own archives; 0: nobody looks",
    )
    archive_timeout_s: float = Field(
        1800.0, gt=0, description="longest that one pass may take; then it is killed, and the next one goes on"
    )
    explain_events: bool = Field(
        True, description="explain each new event: replay of its rows, in a process of its own, one at a time"
    )
    explain_timeout_s: float = Field(300.0, gt=0, description="longest that one explanation may take")
    rollout_apply: bool = Field(
        False,
        description="carry out what the evidence says about a canary, through the service's admin API; false: only say it",
    )
    rollout_interval_s: float = Field(5.0, gt=0, description="pause between looks at the rollouts and their routes")
    service_url: str = Field(
        "http://127.0.0.1:3000",
        description="where the service's admin API answers; empty: this monitor changes no routes",
    )
    admin_token: SecretStr | None = Field(
        None, validation_alias="PLUMBLINE_ADMIN_TOKEN", description="bearer token of that API"
    )
    admin_token_file: Path | None = Field(None, description="file that holds the token")
    healthy_tick_age_s: float = Field(30.0, gt=0, description="age of the last good tick above which /healthz says 503")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        home = init_settings.init_kwargs.get("home") if isinstance(init_settings, InitSettingsSource) else None
        table = read_table(Path(home or HOME) / FILE)
        return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=table)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.drift_windows:
            raise ValueError("drift_windows: expected at least one")
        if odd := [model for model, asked in self.labels.items() if asked.kind not in ({""} | set(TaskKind))]:
            raise ValueError(f"labels.{odd[0]}.kind: expected one of {', '.join(TaskKind)}")
        if not self.segment_windows:
            raise ValueError("segment_windows: expected at least one")
        if self.rollout_apply and not self.service_url:
            raise ValueError("rollout_apply: expected a service_url, through which it is carried out")
        for where, url in (("webhook_url", self.webhook_url), ("service_url", self.service_url or None)):
            if url is not None and (fault := url_fault(url)) is not None:
                raise SettingsInvalid(f"[{TABLE}] {where}", fault, URL)
        names = [one.name for one in self.receivers]
        if len(set(names)) < len(names):
            raise ValueError("receivers: expected every name once")
        return self

    def policy(self) -> Policy:
        """What these settings say of sending."""
        return Policy(
            dry_run=self.dry_run,
            retrain_max_per_day=self.retrain_max_per_day,
            gate=self.retrain_gate == "loss",
            without_labels=self.gate_without_labels,
        )

    def rules(self) -> Rules:
        """The rules that these settings mean."""
        return Rules(
            traffic_window_s=self.traffic_window,
            shadow_window_s=self.shadow_window,
            drift_windows_s=tuple(sorted(set(self.drift_windows))),
            budget_alarms_per_30_days=self.budget_alarms_per_30_days,
            n_min=self.n_min_rows,
            tolerance_floor=self.tolerance_floor_psi,
            skew_tolerance=self.skew_tolerance,
            collapse_ratio=self.collapse_ratio,
            volume_ratio=self.volume_ratio,
            segments=self.segments,
            segments_max=self.segments_max,
            segment_windows_s=tuple(sorted(set(self.segment_windows))),
            segment_learning_s=self.segment_learning,
            segment_rows_min=self.segment_rows_min,
            tolerances=self.tolerances_psi,
            label_rows_max=self.label_rows_max,
            label_wait_s=self.label_wait_max,
            label_mature_s=self.label_mature,
            loss_tolerance=self.loss_tolerance,
            label_tasks=self.labels,
            hold_s=self.hold_s,
            cooldown_s=self.cooldown_s,
            lateness_s=self.lateness_s,
            keys_max=self.keys_max,
            state_bytes_max=self.state_bytes_max,
        )

    def secret(self) -> str | None:
        """The webhook's secret, from the environment or else the file. Raises SettingsInvalid."""
        found = _secret("webhook_secret_file", self.webhook_secret, self.webhook_secret_file)
        return None if found is None else usable("webhook secret", found)

    def token(self) -> str | None:
        """The admin API's token, from the environment or else the file; an empty one is none. Raises SettingsInvalid."""
        found = _secret("admin_token_file", self.admin_token, self.admin_token_file)
        return usable("admin token", found) if found else None


def _secret(where: str, given: SecretStr | None, file: Path | None) -> str | None:
    if given is not None:
        return given.get_secret_value().strip()
    return None if file is None else from_file(where, file)


def load(home: Path, **flags: Any) -> Settings:
    """The settings of a home; flags that are None were not given. Raises SettingsInvalid."""
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(home=home, **given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or TABLE
        raise SettingsInvalid(
            f"[{TABLE}] {where}", first["msg"], "a setting as `plumbline monitor --help` names it"
        ) from error
    except SettingsError as error:
        raise SettingsInvalid("environment", str(error), "values as the settings name them") from error


def read_table(path: Path) -> dict[str, Any]:
    """The `[monitor]` table of a file; no file is no setting. Raises SettingsInvalid."""
    try:
        table = tomllib.loads(path.read_text()).get(TABLE, {})
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsInvalid(str(path), str(error), "TOML") from error
    if not isinstance(table, dict):
        raise SettingsInvalid(f"{path} {TABLE}", type(table).__name__, "a table")
    for secret in ("webhook_secret", "admin_token"):
        if secret in table:
            raise SettingsInvalid(f"{path} {secret}", "a secret in a file meant to be shared", f"{secret}_file")
    return table
