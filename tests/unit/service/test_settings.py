import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import Settings, read_settings


@pytest.fixture(autouse=True)
def clean_environment() -> Iterator[None]:
    """No setting of the machine leaks in, none of a test leaks out."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PLUMBLINE_")}
    yield
    for name in [name for name in os.environ if name.startswith("PLUMBLINE_")]:
        del os.environ[name]
    os.environ.update(kept)


def toml(home: Path, text: str) -> None:
    (home / "plumbline.toml").write_text(text)


def test_the_environment_wins_over_the_file_and_an_argument_over_both(tmp_path: Path) -> None:
    toml(tmp_path, "[service]\nport = 1001\nmax_rows = 7\nworkers = 2\n[monitor]\nport = 5\n")
    os.environ["PLUMBLINE_PORT"] = "1002"
    os.environ["PLUMBLINE_HOME"] = str(tmp_path)
    os.environ["PLUMBLINE_WORKERS"] = "3"
    settings = Settings(workers=4)
    assert (settings.port, settings.max_rows, settings.workers) == (1002, 7, 4)
    assert settings.home == tmp_path
    assert read_settings().workers == 3


def test_the_file_is_that_of_the_home_that_was_given(tmp_path: Path) -> None:
    toml(tmp_path, "[service]\nport = 1001\n")
    assert Settings(home=tmp_path).port == 1001
    assert Settings(home=tmp_path / "other").port == 3000


def test_an_empty_variable_is_no_setting(tmp_path: Path) -> None:
    toml(tmp_path, "[service]\nport = 1001\n")
    os.environ["PLUMBLINE_PORT"] = ""
    os.environ["PLUMBLINE_ADMIN_TOKEN"] = ""
    os.environ["PLUMBLINE_HOME"] = ""
    assert Settings(home=tmp_path).port == 1001
    assert Settings().home == Path(".plumbline")
    assert Settings().admin_token is None


@pytest.mark.parametrize(
    "line",
    [
        "prot = 3000",
        'port = "many"',
        "port = 65536",
        "workers = 0",
        "max_body_bytes = 0",
        "max_waiting_requests = 0",
        "routes_poll_s = 2",
        "log_fsync_interval_s = 1.5",
        'on_log_failure = "ignore"',
        'admin_token = ""',
    ],
)
def test_a_key_that_is_unknown_or_out_of_range_is_refused_by_name(tmp_path: Path, line: str) -> None:
    toml(tmp_path, f"[service]\n{line}\n")
    with pytest.raises(ValidationError) as refused:
        Settings(home=tmp_path)
    assert line.split()[0] in str(refused.value)


def test_a_file_without_our_table_changes_nothing(tmp_path: Path) -> None:
    toml(tmp_path, "[monitor]\nport = 5\n")
    assert Settings(home=tmp_path).port == 3000


@pytest.mark.parametrize("text", ["port = ", "service = [", "a = " + "[" * 10])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, text: str) -> None:
    toml(tmp_path, text)
    with pytest.raises(ValueError, match=r"line|document"):
        Settings(home=tmp_path)


def test_every_field_says_what_it_is_and_every_limit_what_happens_there() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description and len(field.description) > 15, name


def test_settings_are_frozen_and_never_print_the_token() -> None:
    settings = Settings(admin_token="hunter2")  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]
    assert "hunter2" not in repr(settings) + str(settings.model_dump())


def test_only_the_loopback_address_is_bound_unless_told_otherwise() -> None:
    assert Settings().host == "127.0.0.1"


def test_a_relaxed_log_cannot_refuse_what_it_has_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_LOG_DURABILITY", "relaxed")
    assert read_settings().log_durability == "relaxed"
    monkeypatch.setenv("PLUMBLINE_ON_LOG_FAILURE", "refuse")
    with pytest.raises(ValidationError, match="found relaxed with on_log_failure refuse, expected process or disk"):
        read_settings()
