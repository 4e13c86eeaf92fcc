"""Versions in a real MLflow registry: an alias is resolved once, a moved one ignored, a changed byte refused."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.errors import ArtifactMismatch, ArtifactRefused, SourceInvalid, SourceUnavailable
from models.fetch import Fetcher
from models.lock import Pin
from models.manifest import BASELINE, CONTRACT, MODEL
from models.registry import Registry
from models.sources.credentials import Basic, Bearer, Credentials
from models.sources.mlflow import MlflowSource
from models.sources.web import Access
from tests.integration.mlflow_server import MlflowServer, mlflow_server
from tests.onnx_models import mixed, mixed_contract, proto
from tests.processes import environment, home, plumbline, served
from tests.scripted import scripted

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]  # the first run of a machine installs MLflow

OPEN = Access()
WHOLE = {MODEL: mixed(), CONTRACT: mixed_contract().encode(), BASELINE: b"{}"}
CHANGED = 7.25  # a weight that is found again in the server's files


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """Everything that the tests ask for, logged by one process: MLflow's imports take ten seconds."""
    place = tmp_path_factory.mktemp("models")
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as found:
        found.log(
            {
                "ages": [graph(place, "one", 1), graph(place, "two", 2)],
                "changed": [graph(place, "changed", CHANGED)],
                "served": [graph(place, "served", 3)],
                "small": [graph(place, "small", 1)],
                "outside": [f"external:{large(place)}", large(place)],
                "pickled": [folder(place, "pickled", {"model.pkl": b"\x80\x04K\x01."})],
                "whole": [folder(place, "whole", {**WHOLE, "notes.txt": b"not ours"})],
            }
        )
        yield found


def folder(place: Path, name: str, files: dict[str, bytes]) -> Path:
    (place / name).mkdir()
    for file, data in files.items():
        (place / name / file).write_bytes(data)
    return place / name


def graph(place: Path, name: str, weight: float) -> Path:
    """Of a feature `age`."""
    weights = numpy_helper.from_array(np.full((1, 1), weight, np.float32), "w")
    nodes = [helper.make_node("MatMul", ["age", "w"], ["score"])]
    path = place / f"{name}.onnx"
    model = proto(nodes, {"age": ("FP32", ["N", 1])}, {"score": ("FP32", ["N", 1])}, [weights])
    path.write_bytes(model.SerializeToString())
    return path


def large(place: Path) -> Path:
    """Whose tensors are large enough for MLflow to lay them beside the graph."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [64, 64], np.ones(4096, np.float32).tobytes(), raw=True)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    path = place / "large.onnx"
    path.write_bytes(
        proto(nodes, {"x": ("FP32", ["N", 64])}, {"y": ("FP32", ["N", 64])}, [weights]).SerializeToString()
    )
    return path


def source(server: MlflowServer, access: Access = OPEN) -> MlflowSource:
    return MlflowSource(access, server.url)


def fetcher(place: Path, server: MlflowServer) -> Fetcher:
    return Fetcher(Registry(place / "registry"), {"mlflow": source(server)})


def taken(place: Path, server: MlflowServer, what: str) -> Pin:
    found = fetcher(place, server).take(what, ref="ages:1")
    return Pin(name="ages", version="1", digest=found.digest, source=found.source)


def test_an_alias_is_resolved_when_a_version_is_pinned_and_where_it_moves_is_ignored(
    tmp_path: Path, server: MlflowServer
) -> None:
    server.alias("ages", "champion", 1)
    pin = taken(tmp_path / "here", server, "mlflow:models:/ages@champion")
    assert pin.source == "mlflow:models:/ages/1"
    assert [column.name for column in Registry(tmp_path / "here/registry").contract(pin).features] == ["age"]
    server.alias("ages", "champion", 2)
    assert source(server).resolve("mlflow:models:/ages@champion") == "mlflow:models:/ages/2"
    assert fetcher(tmp_path / "elsewhere", server).sync(pin)
    read = Registry(tmp_path / "elsewhere/registry").read_files(pin.digest, pin.ref)
    assert read == Registry(tmp_path / "here/registry").read_files(pin.digest, pin.ref)
    assert taken(tmp_path / "later", server, "mlflow:models:/ages@champion").digest != pin.digest


def test_a_byte_that_was_changed_in_the_store_is_refused_and_nothing_is_installed(
    tmp_path: Path, server: MlflowServer
) -> None:
    pin = taken(tmp_path / "here", server, "mlflow:models:/changed/1")
    before = np.float32(CHANGED).tobytes()
    (stored,) = [path for path in server.artifacts.rglob("model.onnx") if before in path.read_bytes()]
    stored.write_bytes(stored.read_bytes().replace(before, np.float32(7.5).tobytes()))
    with pytest.raises(ArtifactMismatch, match="not loading it"):
        fetcher(tmp_path / "elsewhere", server).sync(pin)
    assert not (tmp_path / "elsewhere/registry").exists()
    assert not fetcher(tmp_path / "here", server).sync(pin)


def test_our_own_files_beside_the_graph_are_taken_as_they_are(server: MlflowServer) -> None:
    assert source(server).fetch("mlflow:models:/whole/1", ref="whole:1").files == WHOLE


def test_what_was_pinned_from_mlflow_is_served_without_it(tmp_path: Path, server: MlflowServer) -> None:
    place = home(tmp_path)
    server.alias("served", "champion", 1)
    words = ["models", "pin", "served", "1", "mlflow:models:/served@champion", "--home", place]
    env = environment(PLUMBLINE_MLFLOW_TRACKING_URI=server.url)
    subprocess.run(plumbline(*words), check=True, timeout=60, env=env)
    with served(place) as (_, url):
        asked = {"instances": [{"age": 14}]}
        answer = httpx.post(f"{url}/v1/models/served:predict", json=asked, trust_env=False)
        assert answer.json()["predictions"] == [[42.0]]


def test_tensors_beside_the_graph_are_refused_with_what_to_do(server: MlflowServer) -> None:
    with pytest.raises(ArtifactRefused, match="save_as_external_data=False"):
        source(server).fetch("mlflow:models:/outside/1", ref="m:1")
    assert source(server).fetch("mlflow:models:/outside/2", ref="m:1").files


def test_what_is_not_there_is_too_large_or_no_graph_is_said(server: MlflowServer) -> None:
    with pytest.raises(ArtifactRefused, match=r"found model\.pkl, expected model\.onnx"):
        source(server).fetch("mlflow:models:/pickled/1", ref="m:1")
    with pytest.raises(SourceUnavailable, match="not found"):
        source(server).fetch("mlflow:models:/small/9", ref="m:1")
    with pytest.raises(SourceUnavailable, match=r"nothing was installed"):
        source(server).resolve("mlflow:models:/small@nobody")
    with pytest.raises(ArtifactRefused, match="at most 10 "):
        source(server, Access(bytes_max=10)).fetch("mlflow:models:/small/1", ref="m:1")
    with pytest.raises(SourceInvalid, match="does not move"):
        source(server).fetch("mlflow:models:/small@champion", ref="m:1")


@pytest.mark.parametrize(
    "text",
    [
        "mlflow:small/1",
        "mlflow:models:/small",
        "mlflow:models:/small/latest",
        "mlflow:models:/a/b/1",
        "mlflow:runs:/1/m",
    ],
)
def test_what_is_no_address_of_a_version_is_refused_before_anybody_is_asked(text: str) -> None:
    with pytest.raises(SourceInvalid, match="mlflow:models:/NAME/VERSION"):
        MlflowSource(Access(), "http://127.0.0.1:9").resolve(text)


@pytest.mark.parametrize("uri", ["", "sqlite:///x.db", "http://me:pw@127.0.0.1:9", "databricks"])
def test_a_server_that_is_none_is_said_without_its_password(uri: str) -> None:
    with pytest.raises(SourceInvalid, match="expected http") as refused:
        MlflowSource(Access(), uri).fetch("mlflow:models:/small/1", ref="m:1")
    assert "pw" not in str(refused.value)


@pytest.mark.parametrize("known", [Basic("bWU6cHc="), Bearer("t0k3n")])
def test_credentials_go_with_every_call_and_into_no_error(known: Basic | Bearer) -> None:
    with scripted(lambda one: one.reply(403, b"no")) as closed:
        access = Access(credentials=Credentials({closed.host: known}))
        with pytest.raises(SourceUnavailable, match="answered 403 no") as refused:
            MlflowSource(access, f"http://{closed.host}").fetch("mlflow:models:/small/1", ref="m:1")
        assert {authorization for _, authorization in closed.asked} <= {"Basic bWU6cHc=", "Bearer t0k3n"}
        assert "bWU6cHc=" not in str(refused.value) and "t0k3n" not in str(refused.value)
