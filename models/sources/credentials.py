"""Which credentials go to which host? Docker's `config.json`, as `docker login` and `podman login` write it.

Law: nothing that is shown (`repr`, an error) holds a secret.
"""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from models.errors import UNDECODABLE, CredentialsInvalid

EXPECTED = (
    '{"auths": {"HOST[:PORT]": {"auth": "<base64 of user:password>"}}}; or username and password; or registrytoken'
)


@dataclass(frozen=True, slots=True)
class Basic:
    """A user and a password, base64 as the header has them."""

    encoded: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token that the host itself takes."""

    token: str = field(repr=False)


Credential = Basic | Bearer


class _Entry(msgspec.Struct):
    auth: str = ""
    username: str = ""
    password: str = ""
    registrytoken: str = ""
    identitytoken: str = ""


class _File(msgspec.Struct):
    auths: dict[str, _Entry] = {}


@dataclass(frozen=True, slots=True)
class Credentials:
    """By host, with the port where the host is asked on one that is not its scheme's own."""

    by_host: Mapping[str, Credential] = field(default_factory=dict, repr=False)

    def of(self, host: str) -> Credential | None:
        """None for a host of which nothing is known: it is asked without."""
        return self.by_host.get(host.lower())

    @classmethod
    def decode(cls, text: str | bytes, place: str) -> "Credentials":
        """Raises CredentialsInvalid with the place and never with what stands there."""
        try:
            auths = msgspec.json.decode(text, type=_File).auths
        except UNDECODABLE:
            # not `from error`: its text may quote a secret
            raise CredentialsInvalid(place, "no JSON of credentials by host", EXPECTED) from None
        return cls({_host(name): _credential(entry, f"{place}, {_host(name)}") for name, entry in auths.items()})


def header(credential: Credential) -> str:
    """The value of `Authorization`."""
    return f"Basic {credential.encoded}" if isinstance(credential, Basic) else f"Bearer {credential.token}"


def _host(name: str) -> str:
    """Docker also writes whole URLs, `https://index.docker.io/v1/`."""
    return name.partition("://")[2].partition("/")[0].lower() if "://" in name else name.partition("/")[0].lower()


def _credential(entry: _Entry, place: str) -> Credential:
    if entry.registrytoken:
        return Bearer(_printable(entry.registrytoken, place))
    if entry.username:
        return Basic(b64encode(f"{entry.username}:{entry.password}".encode()).decode())
    if entry.auth:
        try:
            plain = b64decode(entry.auth, validate=True)
        except NotBase64:
            plain = b""
        if b":" not in plain:
            raise CredentialsInvalid(place, "an `auth` that is no base64 of user:password", EXPECTED)
        return Basic(b64encode(plain).decode())
    problem = "an identity token, which is not supported" if entry.identitytoken else "neither a user nor a token"
    raise CredentialsInvalid(place, f"{problem} (credential helpers are not run)", EXPECTED)


def _printable(token: str, place: str) -> str:
    if not token.isascii() or not token.isprintable() or " " in token:
        raise CredentialsInvalid(place, "a token that no header can carry", "printable ASCII without spaces")
    return token
