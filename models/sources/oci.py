"""`oci:HOST[:PORT]/REPOSITORY@sha256:…`: a version in an OCI registry, pulled and pushed by the distribution API.

Laws
- A tag is resolved once, when a version is pinned; what is fetched later is fetched by digest.
- Nothing is believed of what a registry says: manifest and blobs are hashed here, and read up to the size that the
  manifest declares, which itself was verified.
- A token is asked for this repository and these actions alone, and only of the registry's own host or its domain.
"""

import re
from dataclasses import dataclass, replace
from hashlib import sha256

import httpx
import msgspec

from models.errors import ArtifactMismatch, SourceInvalid, SourceUnavailable
from models.lock import DIGEST
from models.sources.credentials import Basic, Bearer, header
from models.sources.modelpack import MANIFEST_TYPE, Packed, digest_of, unpack
from models.sources.offer import Offer, offer_of
from models.sources.web import DOCUMENT_BYTES_MAX, Access, Answer, Web, shown, within

SCHEME = "oci"
_PORT = r":\d{1,5}"
# a name with a dot or a port, or an address: `models/rides` alone means no host
HOST = rf"(?P<host>(?:localhost|[a-z0-9-]+(?:\.[a-z0-9-]+)+|\[[0-9a-f:]+\])(?:{_PORT})?|[a-z0-9-]+{_PORT})"
REPOSITORY = r"(?P<repository>[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*)"
REFERENCE = re.compile(
    rf"{HOST}/{REPOSITORY}(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}}))?(?:@(?P<digest>{DIGEST.pattern}))?"
)
REPOSITORY_CHARS_MAX = 255
EXPECTED = "oci:HOST[:PORT]/REPOSITORY with @sha256:… or :TAG"
PULL, PUSH = "pull", "pull,push"
TOKEN_BYTES_MAX = 64 << 10
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a version lies; with neither tag nor digest it is a repository."""

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def decode(cls, source: str) -> "Reference":
        """Raises SourceInvalid. A tag beside a digest says nothing and is dropped."""
        found = REFERENCE.fullmatch(source.removeprefix(f"{SCHEME}:"))
        if found is None or len(found["repository"]) > REPOSITORY_CHARS_MAX:
            raise SourceInvalid(source, "no reference to a registry", EXPECTED)
        digest = found["digest"] or ""
        return cls(found["host"], found["repository"], "" if digest else found["tag"] or "", digest)

    def __str__(self) -> str:
        moving = f":{self.tag}" if self.tag else ""
        return f"{SCHEME}:{self.host}/{self.repository}{f'@{self.digest}' if self.digest else moving}"


class OciSource:
    """Registries that speak the OCI distribution API; each call is one conversation."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def resolve(self, source: str) -> str:
        """A tag becomes the digest that it names now. Raises SourceInvalid, SourceUnavailable."""
        reference = Reference.decode(source)
        if reference.digest:
            return str(reference)
        if not reference.tag:
            raise SourceInvalid(source, "neither tag nor digest", EXPECTED)
        return within(self._access.timeout_s, source, self._resolve(reference))

    async def _resolve(self, reference: Reference) -> str:
        async with Web(self._access, str(reference)) as web:
            manifest = await Repository(web, self._access, reference, PULL).manifest(reference.tag)
        return str(replace(reference, tag="", digest=digest_of(manifest)))

    def fetch(self, source: str, *, ref: str) -> Offer:
        """Raises SourceInvalid, SourceUnavailable, ArtifactRefused, ArtifactMismatch."""
        reference = Reference.decode(source)
        if not reference.digest:
            raise SourceInvalid(source, "no digest", "oci:HOST[:PORT]/REPOSITORY@sha256:…, which does not move")
        return within(self._access.timeout_s, source, self._fetch(reference, ref))

    async def _fetch(self, reference: Reference, ref: str) -> Offer:
        async with Web(self._access, str(reference)) as web:
            repository = Repository(web, self._access, reference, PULL)
            manifest = await repository.manifest(reference.digest)
            _matches(manifest, reference.digest, f"{ref} manifest")
            wanted = unpack(manifest, f"{ref}, {reference}", bytes_max=self._access.bytes_max)
            files: dict[str, bytes] = {}
            for name, layer in wanted.items():
                files[name] = await repository.blob(layer.digest, layer.size)
                _matches(files[name], layer.digest, f"{ref} {name}")
        return offer_of(files)

    def push(self, target: str, packed: Packed) -> str:
        """Uploads what is not there yet, then the manifest, under its tag if the target has one; the source to pin."""
        reference = Reference.decode(target)
        if reference.digest:
            raise SourceInvalid(target, "a digest", "a tag or none: the digest follows from the bytes")
        return within(self._access.timeout_s, target, self._push(reference, packed))

    async def _push(self, reference: Reference, packed: Packed) -> str:
        async with Web(self._access, str(reference)) as web:
            repository = Repository(web, self._access, reference, PUSH)
            for digest, data in packed.blobs.items():
                await repository.upload(digest, data)
            await repository.put_manifest(reference.tag or packed.digest, packed.manifest)
        return str(replace(reference, tag="", digest=packed.digest))


class Repository:
    """One repository of one registry, with what it takes to be let in."""

    def __init__(self, web: Web, access: Access, reference: Reference, actions: str) -> None:
        self._web, self._source = web, str(reference)
        self._credential = access.credentials.of(reference.host)
        scheme = "http" if access.trusts_plain(reference.host) else "https"
        self._base = httpx.URL(f"{scheme}://{reference.host}/v2/{reference.repository}/")
        self._scope = f"repository:{reference.repository}:{actions}"
        self._authorization: str | None = None

    async def manifest(self, name: str) -> bytes:
        """By tag or digest; not verified."""
        answer = await self._ask("GET", self._base.join(f"manifests/{name}"), headers={"accept": MANIFEST_TYPE})
        if answer.status != 200:
            raise self._web.refused(answer, "no manifest")
        return answer.body

    async def blob(self, digest: str, size: int) -> bytes:
        """At most `size` bytes; not verified."""
        answer = await self._ask("GET", self._base.join(f"blobs/{digest}"), bytes_max=size)
        if answer.status != 200:
            raise self._web.refused(answer, "no blob")
        return answer.body

    async def upload(self, digest: str, data: bytes) -> None:
        """Nothing where it is there already."""
        if (await self._ask("HEAD", self._base.join(f"blobs/{digest}"))).status == 200:
            return
        begun = await self._ask("POST", self._base.join("blobs/uploads/"), content=b"")
        if begun.status != 202:
            raise self._web.refused(begun, "no upload")
        place = begun.url.join(begun.headers.get("location", "")).copy_merge_params({"digest": digest})
        if (place.scheme, place.host, place.port) != (self._base.scheme, self._base.host, self._base.port):
            raise SourceUnavailable(self._source, f"wants the upload at {shown(place)}, expected its own address")
        headers = {"content-type": "application/octet-stream"}
        done = await self._ask("PUT", place, headers=headers, content=data)
        if done.status != 201:
            raise self._web.refused(done, "not uploaded")

    async def put_manifest(self, name: str, manifest: bytes) -> None:
        headers = {"content-type": MANIFEST_TYPE}
        done = await self._ask("PUT", self._base.join(f"manifests/{name}"), headers=headers, content=manifest)
        if done.status != 201:
            raise self._web.refused(done, "manifest not taken")

    async def _ask(
        self,
        method: str,
        url: httpx.URL,
        *,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
        bytes_max: int = DOCUMENT_BYTES_MAX,
    ) -> Answer:
        """Once more, with what a challenge asks for, where the first answer is one."""

        async def asked() -> Answer:
            return await self._web.ask(
                method,
                url,
                bytes_max=max(bytes_max, DOCUMENT_BYTES_MAX),  # a refusal may say more than a small blob
                headers=headers,
                authorization=self._authorization,
                content=content,
            )

        answer = await asked()
        if answer.status == 401 and self._authorization is None:
            self._authorization = await self._authorized(answer)
            answer = await asked()
        return answer

    async def _authorized(self, answer: Answer) -> str:
        """The header that answers a challenge. Raises SourceUnavailable where there is nothing to answer it with."""
        kind, _, rest = answer.headers.get("www-authenticate", "").partition(" ")
        match kind.lower(), self._credential:
            case "basic", Basic() as known:
                return header(known)
            case _, Bearer() as known:
                return header(known)
            case "bearer", known:
                return await self._token(dict(_PARAMETER.findall(rest)), known)
            case _:
                raise self._web.refused(answer, "credentials asked for, none known (sources_auth_file)")

    async def _token(self, challenge: dict[str, str], credential: Basic | None) -> str:
        realm = httpx.URL(challenge.get("realm", ""))
        if realm.scheme not in ("https", self._base.scheme) or not _same_house(self._base.host, realm.host):
            raise SourceUnavailable(
                self._source,
                f"sends us to {shown(realm)} for a token, expected https at {self._base.host} or its domain",
            )
        asked = realm.copy_merge_params({"service": challenge.get("service", ""), "scope": self._scope})
        known = None if credential is None else header(credential)
        answer = await self._web.ask("GET", asked, bytes_max=TOKEN_BYTES_MAX, authorization=known)
        if answer.status != 200:
            raise self._web.refused(answer, "no token")
        found = self._web.document(answer, _Token)
        return header(Bearer(found.token or found.access_token))


class _Token(msgspec.Struct):
    token: str = ""
    access_token: str = ""


def _same_house(registry: str, realm: str) -> bool:
    """`auth.docker.io` for `registry-1.docker.io`: the same host, or one below the domain that the registry's name is in."""
    domain = registry.partition(".")[2]
    named = "." in domain and not registry.replace(".", "").isdigit() and ":" not in registry
    return realm == registry or (named and (realm == domain or realm.endswith(f".{domain}")))


def _matches(data: bytes, digest: str, where: str) -> None:
    if (actual := sha256(data).hexdigest()) != (expected := digest.removeprefix("sha256:")):
        raise ArtifactMismatch(where, actual, expected)
