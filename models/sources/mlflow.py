"""`mlflow:models:/NAME/VERSION`: a version in an MLflow model registry, by MLflow's REST API; MLflow itself is not needed.

Laws
- An alias is resolved once, when a version is pinned, to the number of a version.
- A number says where the files lie, not what is in them: that they are the same later is held by the digest of the pin.
- Of the folder of the ONNX flavour the graph is taken, and our own files where they lie beside it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

import httpx
import msgspec

from models.errors import ArtifactRefused, SourceInvalid
from models.sources.credentials import header
from models.sources.offer import Offer, chosen, offer_of
from models.sources.web import Access, Answer, Web, host_of, within

SCHEME = "mlflow"
URI = re.compile(
    r"models:/(?P<name>[^/@:\x00-\x1f\x7f]{1,250})(?:/(?P<version>[0-9]{1,18})|@(?P<alias>[^/@\x00-\x1f\x7f]{1,250}))"
)
EXPECTED = "mlflow:models:/NAME/VERSION, or mlflow:models:/NAME@ALIAS"
READY = "READY"
PROXIED = "mlflow-artifacts"  # the scheme of artefacts that the tracking server itself hands out
OUTSIDE_SUFFIX = ".data"  # `<uuid>.data`, or `model.onnx.data` of exporters that do it themselves
HOPS_MAX = 2  # a registered version may point at a logged model, which has the files
API = "api/2.0"
_LOGGED = re.compile(r"models:/(?P<id>m-[0-9a-f]{1,64})/?")


@dataclass(frozen=True, slots=True)
class ModelUri:
    """MLflow's own address of a registered model."""

    name: str
    version: str = ""
    alias: str = ""

    @classmethod
    def decode(cls, source: str) -> "ModelUri":
        """Raises SourceInvalid."""
        found = URI.fullmatch(source.removeprefix(f"{SCHEME}:"))
        if found is None:
            raise SourceInvalid(source, "no model URI with a number or an alias", EXPECTED)
        return cls(found["name"], found["version"] or "", found["alias"] or "")

    def __str__(self) -> str:
        return f"{SCHEME}:models:/{self.name}{f'/{self.version}' if self.version else f'@{self.alias}'}"


class _Version(msgspec.Struct):
    version: str | int
    status: str = READY


class _VersionAnswer(msgspec.Struct):
    model_version: _Version


class _Place(msgspec.Struct):
    artifact_uri: str


class _LoggedInfo(msgspec.Struct):
    artifact_uri: str = ""


class _Logged(msgspec.Struct):
    info: _LoggedInfo


class _LoggedAnswer(msgspec.Struct):
    model: _Logged


class _File(msgspec.Struct):
    path: str
    is_dir: bool = False
    file_size: int | str = 0  # protobuf's JSON writes 64-bit numbers as text


class _Listing(msgspec.Struct):
    files: tuple[_File, ...] = ()


class MlflowSource:
    """The server at `tracking_uri`, which the settings name: a source in a lock says only what, not where."""

    def __init__(self, access: Access, tracking_uri: str) -> None:
        self._access, self._tracking_uri = access, tracking_uri

    def resolve(self, source: str) -> str:
        """An alias becomes the version that it names now. Raises SourceInvalid, SourceUnavailable."""
        uri = ModelUri.decode(source)
        if uri.version:
            return str(uri)
        return within(self._access.timeout_s, source, self._resolve(uri))

    async def _resolve(self, uri: ModelUri) -> str:
        async with Web(self._access, str(uri)) as web:
            server = _Server(web, self._access, self._base(uri))
            answer = await server.get("mlflow/registered-models/alias", name=uri.name, alias=uri.alias)
            version = web.document(answer, _VersionAnswer).model_version.version
        return str(ModelUri.decode(f"{SCHEME}:models:/{uri.name}/{version}"))

    def fetch(self, source: str, *, ref: str) -> Offer:
        """Raises SourceInvalid, SourceUnavailable, ArtifactRefused."""
        uri = ModelUri.decode(source)
        if not uri.version:
            raise SourceInvalid(source, "an alias", "mlflow:models:/NAME/VERSION, which does not move")
        return within(self._access.timeout_s, source, self._fetch(uri, ref))

    async def _fetch(self, uri: ModelUri, ref: str) -> Offer:
        where = f"{ref}, {uri}"
        async with Web(self._access, str(uri)) as web:
            server = _Server(web, self._access, self._base(uri))
            await server.must_be_ready(uri, where)
            folder = await server.folder(uri, where)
            sizes = await server.listing(folder)
            _all_in_one_file(sizes, where)
            wanted = {own: f"{folder}/{theirs}" for own, theirs in chosen(sizes, where).items()}
            total = sum(sizes[path.rpartition("/")[2]] for path in wanted.values())
            if total > self._access.bytes_max:
                raise ArtifactRefused(where, f"{total} bytes", f"at most {self._access.bytes_max} (sources_bytes_max)")
            left, files = self._access.bytes_max, {}
            for own, path in wanted.items():
                files[own] = await server.file(path, left)
                left -= len(files[own])
        return offer_of(files)

    def _base(self, uri: ModelUri) -> httpx.URL:
        try:
            base = httpx.URL(self._tracking_uri.rstrip("/") + "/")
        except httpx.InvalidURL as error:
            raise SourceInvalid(
                str(uri), f"mlflow_tracking_uri {self._tracking_uri!r}", "http(s)://HOST[:PORT]"
            ) from error
        if base.scheme not in ("http", "https") or base.userinfo:
            found = "no mlflow_tracking_uri" if not self._tracking_uri else "an mlflow_tracking_uri of another kind"
            raise SourceInvalid(str(uri), found, "http(s)://HOST[:PORT], credentials in sources_auth_file")
        return base


def _all_in_one_file(names: Iterable[str], where: str) -> None:
    """MLflow lays tensors beside the graph unless told otherwise; inspection would refuse them later, without the remedy."""
    if outside := sorted(name for name in names if name.endswith(OUTSIDE_SUFFIX)):
        found = f"tensors outside the graph, in {outside[0][:80]!r}"
        raise ArtifactRefused(where, found, "one file: mlflow.onnx.log_model(..., save_as_external_data=False)")


class _Server:
    """The calls of MLflow's REST API that reading a version takes."""

    def __init__(self, web: Web, access: Access, base: httpx.URL) -> None:
        self._web, self._base = web, base
        known = access.credentials.of(host_of(base))
        self._authorization = None if known is None else header(known)

    async def get(self, call: str, **parameters: str) -> Answer:
        url = self._base.join(f"{API}/{call}").copy_merge_params(parameters)
        answer = await self._web.ask("GET", url, authorization=self._authorization)
        if answer.status != 200:
            raise self._web.refused(answer, "not found" if answer.status == 404 else "refused")
        return answer

    async def must_be_ready(self, uri: ModelUri, where: str) -> None:
        answer = await self.get("mlflow/model-versions/get", name=uri.name, version=uri.version)
        status = self._web.document(answer, _VersionAnswer).model_version.status
        if status != READY:
            raise ArtifactRefused(where, f"status {status[:32]!r}", f"{READY!r}")

    async def folder(self, uri: ModelUri, where: str) -> str:
        """Path below the server's artefact root. Raises ArtifactRefused where the server does not hand them out itself."""
        answer = await self.get("mlflow/model-versions/get-download-uri", name=uri.name, version=uri.version)
        place = self._web.document(answer, _Place).artifact_uri
        for _ in range(HOPS_MAX):
            if (logged := _LOGGED.fullmatch(place)) is None:
                break
            answer = await self.get(f"mlflow/logged-models/{logged['id']}")
            place = self._web.document(answer, _LoggedAnswer).model.info.artifact_uri
        scheme, _, rest = place.partition(":")
        path = rest.removeprefix("//").partition("/")[2] if rest.startswith("//") else rest.lstrip("/")
        if scheme != PROXIED or not path or ".." in path.split("/"):
            raise ArtifactRefused(
                where, f"artefacts at {scheme[:32]}:", f"{PROXIED}: (a server with --serve-artifacts)"
            )
        return path.rstrip("/")

    async def listing(self, folder: str) -> Mapping[str, int]:
        """Size in bytes by the name of each file in a folder."""
        answer = await self.get("mlflow-artifacts/artifacts", path=folder)
        files = self._web.document(answer, _Listing).files
        return {file.path.rpartition("/")[2]: int(file.file_size) for file in files if not file.is_dir}

    async def file(self, path: str, bytes_max: int) -> bytes:
        url = self._base.join(f"{API}/mlflow-artifacts/artifacts/{quote(path)}")
        answer = await self._web.ask("GET", url, bytes_max=bytes_max, authorization=self._authorization)
        if answer.status != 200:
            raise self._web.refused(answer, "no file")
        return answer.body
