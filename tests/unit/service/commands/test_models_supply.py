"""`plumbline models sign|push|pin` with signatures asked for, as a person does it."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from models.errors import SigningUnavailable
from models.registry import Registry
from service.commands.doctor import doctor
from service.commands.models import models
from service.settings import Settings
from service.wiring import start_worker
from tests.onnx_models import echo, install, mixed, mixed_contract
from tests.processes import environment
from tests.unit.models.test_signing import key_pair
from tests.unit.service.serving import Service, route, run, until

pytestmark = pytest.mark.slow

DONE, FAULT, CANNOT = 0, 1, 3


def say(home: Path, group: Any, *words: object, code: int = DONE, **env: str) -> Result:
    result = CliRunner().invoke(group, [*map(str, words), "--home", str(home)], env=env)
    assert result.exit_code == code, result.output
    return result


def signed_only(public: Path) -> dict[str, str]:
    return {"PLUMBLINE_REQUIRE_SIGNATURE": "true", "PLUMBLINE_SIGNATURE_KEYS": f'["{public}"]'}


def test_with_signatures_asked_for_a_model_is_registered_signed_and_only_then_pinned(tmp_path: Path) -> None:
    private, public = key_pair(tmp_path, "ours")
    env = signed_only(public)
    (tmp_path / "model.onnx").write_bytes(echo({"age": ("FP32", ["N", 1])}))
    added = msgspec.json.decode(
        say(tmp_path, models, "add", tmp_path / "model.onnx", "--name", "ages", "--json", **env).stdout
    )
    assert (added["pinned"], added["stable"]) == (False, False)
    refused = say(tmp_path, models, "pin", "ages", "1", added["digest"], code=CANNOT, **env)
    assert "found no signature" in refused.stderr and "not loading it" in refused.stderr
    say(tmp_path, models, "sign", added["digest"], "--key", private, **env)
    say(tmp_path, models, "pin", "ages", "1", added["digest"], **env)
    say(tmp_path, models, "verify", **env)


def test_verify_and_doctor_name_what_is_not_signed(tmp_path: Path) -> None:
    private, public = key_pair(tmp_path, "ours")
    _, other = key_pair(tmp_path, "other")
    install(tmp_path, "mixed", "1", mixed(), mixed_contract())
    assert "found no signature" in say(tmp_path, models, "verify", "--json", code=FAULT, **signed_only(public)).stdout
    say(tmp_path, models, "sign", "mixed:1", "--key", private)
    say(tmp_path, models, "verify", **signed_only(public))
    assert "Key mismatch" in say(tmp_path, models, "verify", "--json", code=FAULT, **signed_only(other)).stdout
    assert "Key mismatch" in say(tmp_path, doctor, "--json", code=FAULT, **signed_only(other)).stdout


@pytest.mark.parametrize("signed", [True, False])
def test_a_server_loads_what_is_signed_and_nothing_else(tmp_path: Path, signed: bool) -> None:
    private, public = key_pair(tmp_path, "ours")
    install(tmp_path, "mixed", "1", mixed(), mixed_contract())
    route(tmp_path, "mixed", stable="1")
    if signed:
        say(tmp_path, models, "sign", "mixed:1", "--key", private)

    async def asked(service: Service) -> None:
        answer = await service.predict({"amount": 1, "ratio": 1, "count": 1, "flag": True, "city": "oslo"})
        assert answer.status == (200 if signed else 503)
        if not signed:
            assert "not loading it" in answer.body.decode()

    run(tmp_path, asked, require_signature=True, signature_keys=(public,))


def test_a_version_that_gets_its_signature_while_the_server_runs_is_served(tmp_path: Path) -> None:
    private, public = key_pair(tmp_path, "ours")
    install(tmp_path, "mixed", "1", mixed(), mixed_contract())
    route(tmp_path, "mixed", stable="1")

    async def asked(service: Service) -> None:
        row = {"amount": 1, "ratio": 1, "count": 1, "flag": True, "city": "oslo"}
        assert (await service.predict(row)).status == 503
        say(tmp_path, models, "sign", "mixed:1", "--key", private)
        served = service.worker.predictor._catalogue
        await until(lambda: ("mixed", "1") in served.current.versions, "the signed version is served")
        assert (await service.predict(row)).status == 200

    run(tmp_path, asked, require_signature=True, signature_keys=(public,))


def test_keys_are_named_before_the_server_starts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="found no signature_keys"):
        Settings(home=tmp_path, require_signature=True)
    with pytest.raises(SigningUnavailable, match=r"nothing\.pub"):
        asyncio.run(
            start_worker(Settings(home=tmp_path, require_signature=True, signature_keys=(Path("nothing.pub"),)))
        )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("sign", "nothing:1", "--key", "x.pem"), "not found"),
        (("sign", "mixed:1", "--key", "nothing.pem"), "expected a PEM file"),
        (("push", "mixed:1", "oci:nowhere"), "no reference to a registry"),
        (("push", "mixed:1", "oci:127.0.0.1:9/mixed:1"), "nothing was installed"),
        (("pin", "mixed", "2", "oci:127.0.0.1:9/mixed:1"), "127.0.0.1:9"),
        (("pin", "Mixed", "2", "oci:127.0.0.1:9/mixed:1"), "name 'Mixed'"),
        (("pin", "mixed", "2", "s3:bucket"), "expected one of file:, oci:, mlflow:, bentoml:"),
        (("pin", "mixed", "2", "mlflow:models:/mixed/1"), "no mlflow_tracking_uri"),
        (("pin", "mixed", "2", "bentoml:mixed:1"), "not found"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_3(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    install(tmp_path, "mixed", "1", mixed(), mixed_contract())
    result = say(tmp_path, models, *words, code=CANNOT, PLUMBLINE_BENTOML_STORE=str(tmp_path))
    assert told in result.stderr
    assert result.stderr.startswith("plumbline: ") and "Traceback" not in result.output


def test_credentials_that_are_none_are_said_without_them_and_stop_no_server(tmp_path: Path) -> None:
    install(tmp_path, "mixed", "1", mixed(), mixed_contract())
    result = say(tmp_path, models, "sync", code=CANNOT, PLUMBLINE_SOURCES_AUTH="hunter2")
    assert "sources_auth" in result.stderr and "hunter2" not in result.output
    missing = say(tmp_path, models, "sync", code=CANNOT, PLUMBLINE_SOURCES_AUTH_FILE=str(tmp_path / "nothing"))
    assert "nothing" in missing.stderr
    assert Registry(tmp_path / "registry").root.exists()


@pytest.mark.integration
def test_without_the_extra_signatures_are_refused_with_what_to_install(tmp_path: Path) -> None:
    _, public = key_pair(tmp_path, "ours")
    install(tmp_path, "mixed", "1", mixed(), mixed_contract())
    script = tmp_path / "without.py"
    script.write_text("import sys; sys.modules['model_signing'] = None; from plumbline import main; main()")
    for words in (["models", "sign", "mixed:1", "--key", "x.pem"], ["models", "sync"]):
        command = [sys.executable, str(script), *words, "--home", str(tmp_path)]
        env = environment(**(signed_only(public) if words[1] == "sync" else {}))
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)
        assert (ran.returncode, ran.stdout) == (CANNOT, ""), ran.stderr
        assert "pip install 'plumbline[signing]'" in ran.stderr and "Traceback" not in ran.stderr
