"""plumbline.toml and the environment as one frozen value, read once.

Every field is a key of `[service]` in `<home>/plumbline.toml` and an environment variable `PLUMBLINE_<FIELD>`; the environment
wins.
"""

import tomllib
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from models.key_file import FILE as KEYS_FILE
from models.keys import Mode
from service.featurelog.commit import Durability

# No setting: the pid of `plumbline serve`, told to its workers, who may outlive it unseen.
SUPERVISOR = "PLUMBLINE_SUPERVISOR"
DEFAULT_HOME = Path(".plumbline")


class _Home(BaseSettings):
    """Where the other settings are read from: the one value that cannot stand in the file."""

    model_config = SettingsConfigDict(env_prefix="PLUMBLINE_", frozen=True, extra="ignore", env_ignore_empty=True)
    home: Path = DEFAULT_HOME


class Settings(BaseSettings):
    """Everything that can be set about the service; limits state what happens when they are reached."""

    model_config = SettingsConfigDict(env_prefix="PLUMBLINE_", frozen=True, extra="forbid", env_ignore_empty=True)

    home: Path = Field(
        default=DEFAULT_HOME,
        description="Directory that holds everything that changes: registry, routes, log, monitor.",
    )
    host: str = Field(default="127.0.0.1", description="Address that the service binds.")
    port: int = Field(default=3000, ge=0, le=65535, description="Port of the service.")
    workers: int = Field(
        default=1, ge=1, le=256, description="Worker processes; one a core is the place to start from."
    )
    model_threads: int = Field(default=1, ge=1, description="Threads inside one run of a model.")
    admin_token: SecretStr | None = Field(
        default=None,
        min_length=1,
        description="Bearer token of /admin; without it the admin API is off, unless API keys are asked for. Then it opens all "
        "that a key of the scope `admin` does.",
    )
    api_keys: Mode = Field(
        default="auto",
        description="Whether requests must bring an API key of `<home>/keys.toml` (`plumbline keys`): always (required), never "
        "(off), or where the service is bound to another address than loopback (auto).",
    )

    max_body_bytes: int = Field(
        default=16 << 20,
        gt=0,
        description="Largest request body, as sent and unpacked; a larger one is refused (413): unread where content-length "
        "says so, otherwise when so much of it has come or been unpacked.",
    )
    compress_above_bytes: int = Field(
        default=16 << 10,
        ge=0,
        description="Answers larger than this are compressed where the client's Accept-Encoding names gzip or deflate.",
    )
    max_connections: int = Field(
        default=1000,
        gt=0,
        description="Open connections of one worker; as many again may ask for all but predictions (503).",
    )
    max_url_bytes: int = Field(default=4096, gt=0, description="Longest URL; a longer one is refused (414).")
    max_headers: int = Field(default=100, gt=0, description="Most headers of a request; more are refused (431).")
    max_header_bytes: int = Field(
        default=32 << 10, gt=0, description="Longest head of a request, URL included; a longer one is refused (431)."
    )
    max_pipelined: int = Field(
        default=16,
        gt=0,
        description="Requests of one connection that wait for the answer before theirs; what follows them is not read.",
    )
    max_unfinished_bytes: int = Field(
        default=256 << 20,
        gt=0,
        description="Bytes that one worker holds of bodies whose end has not come; beyond, their requests are refused (503).",
    )
    keep_alive_s: float = Field(
        default=5, gt=0, description="Time for which a connection without a request is kept open after an answer."
    )
    header_timeout_s: float = Field(
        default=5,
        gt=0,
        description="Time for the whole head of a request, or for the first byte of a connection; then it is closed (408).",
    )
    body_timeout_s: float = Field(
        default=8,
        gt=0,
        description="Time for a body before min_bytes_per_s is asked of it; slower ones are refused (408).",
    )
    write_timeout_s: float = Field(
        default=8,
        gt=0,
        description="Time for a client to read its answer before min_bytes_per_s is asked of it; slower ones are cut off.",
    )
    min_bytes_per_s: int = Field(
        default=16 << 10,
        gt=0,
        description="Average rate that a body or an answer of any size must keep after its first seconds.",
    )
    max_rows: int = Field(default=10_000, gt=0, description="Most rows in one request; more are refused (413).")
    max_batch_rows: int = Field(
        default=1024,
        gt=0,
        description="Most rows of one run; waiting requests are joined up to it, larger ones are divided by it.",
    )
    max_waiting_requests: int = Field(
        default=2_000,
        gt=0,
        description="Requests that may wait for a worker's event loop; beyond, or where a fifth of their deadline would pass, "
        "they are shed (503) before they are read.",
    )
    max_queue_rows: int = Field(
        default=20_000,
        gt=0,
        description="Rows that may wait for one version; beyond, or where they would expire waiting, requests are shed (503).",
    )
    max_queue_bytes: int = Field(
        default=256 << 20,
        gt=0,
        description="Bytes of input tensors that may wait for one version; beyond, requests are shed (503).",
    )
    max_queue_delay_us: int = Field(
        default=0,
        ge=0,
        description="How long a request may wait for others to join it while the runtime is idle; timers have about 1 ms.",
    )
    timeout_ms: float = Field(
        default=5_000,
        gt=0,
        description="Deadline of a request; later, it is shed (504). The header x-request-timeout-ms and V2's parameter "
        "timeout (µs) may shorten it.",
    )
    inline_below_us: float = Field(
        default=500,
        ge=0,
        description="A run expected to be shorter than this is run on the event loop, longer ones in a thread; what is run on "
        "the loop stays there until it takes twice as long, as do other versions of its model.",
    )
    shadow_queue_rows_max: int = Field(
        default=5_000, ge=0, description="Rows that may wait for one shadow; beyond, they are dropped."
    )
    shadow_queue_bytes_max: int = Field(
        default=16 << 20, ge=0, description="Bytes of rows that may wait for one shadow; beyond, they are dropped."
    )
    trial_memory_bytes_max: int = Field(
        default=2 << 30,
        gt=0,
        description="Memory that the first run of a new version may take in its own process, beside that of its file; a "
        "version that takes more is refused.",
    )
    trial_cpu_s_max: int = Field(
        default=20, gt=0, description="CPU time of that first run; a version that takes more is refused."
    )
    trial_s_max: float = Field(
        default=60, gt=0, description="Time of that first run by the clock; a version that takes longer is refused."
    )
    trials_dir: Path | None = Field(
        default=None,
        description="Directory of what first runs said, by digest; absent: `<home>/trials`. Who can write there can vouch for "
        "a version.",
    )
    versions_memory_max_mb: int = Field(
        default=0,
        ge=0,
        description="Memory in MiB of the loaded versions of one worker; above it those that no route needs go, the least "
        "recently used first, and are loaded again when asked for (503 version_loading until then). 0: no limit.",
    )
    routes_poll_s: float = Field(
        default=0.2, gt=0, le=1, description="How often routes.toml and the lock are looked at."
    )

    drain_s: float = Field(
        default=5,
        ge=0,
        description="SIGTERM: how long requests are answered while /readyz says 503; as long as an idle connection is kept.",
    )
    grace_s: float = Field(
        default=15,
        ge=0,
        description="How long requests in flight may take after that, three times their deadline; later they are cut off.",
    )
    start_s_max: float = Field(
        default=120,
        gt=0,
        description="How long a new worker may take to load and warm its models in a reload; later the old ones stay.",
    )

    log_segment_bytes_max: int = Field(default=64 << 20, gt=0, description="Size at which a log segment is sealed.")
    log_segment_age_s_max: float = Field(default=300, gt=0, description="Age at which a log segment is sealed.")
    log_fsync_interval_s: float = Field(
        default=0.5, gt=0, le=1, description="Longest time that a record stays without fsync."
    )
    log_durability: Durability = Field(
        default=Durability.PROCESS,
        description="What an answer waits for: its record is written and survives kill -9 (process), is fsynced and survives "
        "power loss (disk), or is handed over and written within 100 ms (relaxed: kill -9 of the worker takes what waits).",
    )
    log_reserve_bytes: int = Field(
        default=1 << 20,
        ge=0,
        description="Space that each worker holds back, so that on a full disk its ledger is still written; with less than "
        "that free, records are dropped and counted as no_space. 0: none.",
    )
    log_raw_keep_h: float = Field(
        default=216,
        ge=0,
        description="Hours that a log segment stays after it was archived and read by the monitor. Nine days: a replay fills "
        "windows of a week.",
    )
    log_raw_bytes_max: int = Field(
        default=2 << 30,
        ge=0,
        description="Bytes of log segments above which archived ones go before that; 0: no limit. What is not archived stays.",
    )
    archive_keep_days: int = Field(default=0, ge=0, description="Days that the archive keeps; 0: for ever.")
    archive_bytes_max: int = Field(
        default=50 << 30, ge=0, description="Bytes of the archive above which its oldest files go; 0: no limit."
    )
    on_log_failure: Literal["serve", "refuse"] = Field(
        default="serve",
        description="Log unwritable: answer and count the loss (serve), or answer 503 (refuse; not with log_durability "
        "relaxed, whose answers have left by then).",
    )
    privacy_key_file: Path | None = Field(
        default=None,
        description="File of the key under which hashed features are written; absent: `<home>/keys/privacy.key`, made at the "
        "first start, readable by its owner alone. With another key a value has another hash.",
    )
    sources_auth_file: Path | None = Field(
        default=None,
        description="Credentials for OCI registries and MLflow by host, as `docker login` writes them (config.json).",
    )
    sources_auth: SecretStr | None = Field(
        default=None, min_length=1, description="The same as text, in place of the file."
    )
    sources_ca_file: Path | None = Field(
        default=None, description="Certificate authorities (PEM) that OCI registries and MLflow are checked against."
    )
    sources_plain_http: tuple[str, ...] = Field(
        default=(),
        description="Hosts, with their port, that are asked without TLS, credentials included; this machine always is.",
    )
    sources_bytes_max: int = Field(
        default=2 << 30, gt=0, description="Largest version that is fetched; a larger one is refused before it is read."
    )
    sources_timeout_s: float = Field(
        default=300, gt=0, description="Time to resolve or to fetch one version; then the attempt is given up."
    )
    mlflow_tracking_uri: str = Field(
        default="",
        description="Server of `mlflow:` sources, http(s)://HOST[:PORT]; its credentials: sources_auth_file.",
    )
    bentoml_store: Path = Field(
        default=Path("~/bentoml"), description="BENTOML_HOME of `bentoml:` sources, whose folder `models` is read."
    )
    require_signature: bool = Field(
        default=False,
        description="Load and fetch only versions that one of signature_keys signed (`plumbline models sign`).",
    )
    signature_keys: tuple[Path, ...] = Field(
        default=(), description="Public keys (PEM, P-256, P-384 or P-521) of which one must have signed a version."
    )
    otlp_endpoint: str = Field(
        default="",
        pattern="^(https?://.+)?$",
        description="OpenTelemetry collector that gets the spans of followed requests by OTLP over HTTP: its base URL, such as "
        "http://127.0.0.1:4318, to which /v1/traces is added. Empty: nothing is traced.",
    )
    trace_sample: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Share of the requests that are followed where their `traceparent` does not decide it.",
    )
    override_header: str = Field(
        default="",
        pattern="^[A-Za-z0-9-]{0,64}$",
        description="Header by which testers choose who answers: stable, canary or a version; recorded as pinned, so that it "
        "counts for neither arm. Empty: off.",
    )
    event_time_header: str = Field(
        default="",
        description="Header that gives a request's event time in µs since 1970, for replaying history; empty: the wall clock.",
    )

    @model_validator(mode="after")
    def _refusal_is_possible(self) -> Self:
        if self.log_durability is Durability.RELAXED and self.on_log_failure == "refuse":
            raise ValueError(
                "log_durability: found relaxed with on_log_failure refuse, expected process or disk: "
                "a relaxed answer has left before its record is written and cannot be refused"
            )
        return self

    @model_validator(mode="after")
    def _signatures_can_be_checked(self) -> Self:
        if self.require_signature and not self.signature_keys:
            raise ValueError("require_signature: found no signature_keys, expected at least one public key file")
        return self

    @property
    def log_root(self) -> Path:
        return self.home / "log"

    @property
    def privacy_key_path(self) -> Path:
        return self.privacy_key_file or self.home / "keys" / "privacy.key"

    @property
    def archive_root(self) -> Path:
        return self.home / "archive"

    @property
    def workers_root(self) -> Path:
        return self.home / "workers"

    @property
    def service_path(self) -> Path:
        return self.home / "service.json"

    @property
    def registry_root(self) -> Path:
        return self.home / "registry"

    @property
    def routes_path(self) -> Path:
        return self.home / "routes.toml"

    @property
    def keys_path(self) -> Path:
        return self.home / KEYS_FILE

    @property
    def ejected_path(self) -> Path:
        return self.home / "ejected.json"

    @property
    def wanted_path(self) -> Path:
        return self.home / "wanted.json"

    @property
    def trials_root(self) -> Path:
        return self.trials_dir or self.home / "trials"

    @property
    def lock_path(self) -> Path:
        return self.home / "models.lock.toml"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the `[service]` table of the file in the home directory."""
        given = init_settings().get("home")
        home = Path(given) if given else _Home().home
        path = home / "plumbline.toml"
        if not path.is_file() or "service" not in tomllib.loads(path.read_text(encoding="utf-8")):
            return init_settings, env_settings
        toml = TomlConfigSettingsSource(settings_cls, path, toml_table_header=("service",))
        return init_settings, env_settings, toml


def read_settings() -> Settings:
    """The settings of this process. Raises pydantic's ValidationError, which names field, value and expectation, and
    ValueError for a file that is no TOML."""
    return Settings()
