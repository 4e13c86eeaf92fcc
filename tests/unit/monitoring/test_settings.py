import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from monitoring.budget import Part, level
from monitoring.cli import monitor
from monitoring.errors import SettingsInvalid
from monitoring.rules import Rules
from monitoring.settings import WINDOW_S_MAX, Settings, load
from monitoring.tier import Scale

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]


def written(home: Path, text: str) -> Path:
    (home / "plumbline.toml").write_text(text)
    return home


def shown(home: Path, **environment: str) -> str:
    """The settings as a process with this environment reads them."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PLUMBLINE_")}
    code = "import sys, pathlib; from monitoring.settings import load; s = load(pathlib.Path(sys.argv[1]), port=7);"
    code += "print(s.port, s.hold_s, s.drift_windows, s.tolerances_psi, s.secret())"
    run = subprocess.run(
        [sys.executable, "-c", code, str(home)],
        env={**clean, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


def test_a_flag_wins_over_the_environment_and_the_environment_over_the_file(tmp_path: Path) -> None:
    written(tmp_path, '[monitor]\nport = 1\nhold_s = 1\ndrift_windows = ["2h"]\ntolerances_psi = {payments = 0.05}\n')
    assert shown(tmp_path) == "7 1 (7200,) {'payments': 0.05} None"
    found = shown(
        tmp_path,
        PLUMBLINE_MONITOR_HOLD_S="2",
        PLUMBLINE_MONITOR_PORT="3",
        PLUMBLINE_MONITOR_DRIFT_WINDOWS="1h, 7d",
        PLUMBLINE_WEBHOOK_SECRET="whsec_abc",
    )
    assert found == "7 2 (3600, 604800) {'payments': 0.05} whsec_abc"


def test_segments_are_declared_by_model(tmp_path: Path) -> None:
    text = '[monitor]\nsegments_max = 4\nsegment_windows = ["2h"]\nsegment_learning = "3d"\n'
    written(tmp_path, text + '[monitor.segments]\npayments = ["channel", "amount > 1000"]\n')
    rules = load(tmp_path).rules()
    assert rules.segments == {"payments": ("channel", "amount > 1000")}
    assert (rules.segments_max, rules.segment_windows_s, rules.segment_learning_s) == (4, (7200,), 259_200)


def test_the_defaults_need_no_file(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert (settings.host, settings.port, settings.drift_windows) == ("127.0.0.1", 3001, Rules().drift_windows_s)
    assert settings.rules().budget_alarms_per_30_days == 1.0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[monitor]\nporrt = 1\n", "porrt"),
        ("[monitor]\nport = 99999\n", "port"),
        ("[monitor]\ndrift_windows = []\n", "drift_windows"),
        ('[monitor]\ndrift_windows = ["90s"]\n', "whole minutes"),
        ('[monitor]\ndrift_windows = ["481d"]\n', "at most 480 days"),
        ('[monitor]\nsegment_windows = ["481d"]\n', "at most 480 days"),
        ("[monitor]\ntolerances_psi = {payments = -0.1}\n", "tolerances_psi"),
        ("[monitor]\ntolerances_psi = {payments = 0}\n", "tolerances_psi"),
        ('[monitor]\nwebhook_url = "ftp://x"\n', "webhook_url"),
        ("[monitor]\ntolerance_floor_psi = 0\n", "tolerance_floor_psi"),
        ('[monitor]\nwebhook_secret = "whsec_x"\n', "expected webhook_secret_file"),
        ('[monitor]\nadmin_token = "x"\n', "expected admin_token_file"),
        ('[monitor]\nservice_url = "localhost:3000"\n', "service_url"),
        ("[monitor]\nsegments_max = 65\n", "segments_max"),
        ("[monitor]\nsegment_windows = []\n", "segment_windows"),
        ('[monitor.segments]\npayments = "channel"\n', "segments.payments"),
        ("[monitor]\ncollapse_ratio = 0.5\n", "collapse_ratio"),
        ("[monitor]\nvolume_ratio = 1\n", "volume_ratio"),
        ("[monitor\n", "expected TOML"),
        ("monitor = 3\n", "expected a table"),
    ],
)
def test_a_setting_that_cannot_be_used_stops_the_start_with_the_place(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(SettingsInvalid, match="does not start") as error:
        load(written(tmp_path, text))
    assert sentence in str(error.value)


def test_the_secret_comes_from_a_file_without_its_newline(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("whsec_abc\n")
    settings = load(written(tmp_path, f'[monitor]\nwebhook_secret_file = "{tmp_path}/secret"\n'))
    assert settings.secret() == "whsec_abc"


def test_a_secret_file_that_cannot_be_read_is_said_to_be_one(tmp_path: Path) -> None:
    settings = load(written(tmp_path, f'[monitor]\nwebhook_secret_file = "{tmp_path}/none"\n'))
    with pytest.raises(SettingsInvalid, match="webhook_secret_file"):
        settings.secret()


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_secret_is_not_shown(tmp_path: Path) -> None:
    assert "hunter2" not in repr(Settings(home=tmp_path, webhook_secret="hunter2"))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--monitor-port", "nine"], 2),
        (["replay", "--from", "yesterday", "--to", "2026-11-02T10:15:00Z"], 2),
        (["replay", "--from", "2026-11-02T10:15:00Z", "--to", "2026-11-02T10:15:00Z"], 2),
        (["replay", "--from", "2026-11-02T10:15:00Z", "--to", "2026-11-02T10:16:00Z"], 0),
    ],
)
def test_exit_codes_tell_wrong_use_from_nothing_found(tmp_path: Path, arguments: list[str], code: int) -> None:
    assert CliRunner().invoke(monitor, ["--home", str(tmp_path), *arguments]).exit_code == code


def test_both_commands_show_an_example() -> None:
    for arguments in (["--help"], ["replay", "--help"]):
        assert "Example:" in CliRunner().invoke(monitor, arguments).output


def test_the_sidecar_starts_without_bentoml_and_onnxruntime() -> None:
    code = "import sys, monitoring.cli; print([m for m in ('bentoml', 'onnxruntime', 'onnx', 'pandas') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_longest_window_that_may_be_set_has_a_level() -> None:
    scale = Scale.of(WINDOW_S_MAX)
    assert level(1.0, Part.DRIFT, windows=1, scale=scale, checks=1, versions=1) > 0
