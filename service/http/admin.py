"""`/admin/*`: what is routed and loaded; only with the admin token."""

import hmac

import msgspec
from pydantic import SecretStr

from service.catalogue import Catalogue
from service.errors import AdminDisabled, NotAuthorised
from service.http.answer import Answer
from service.http.edge import Handler, Headers
from service.http.paths import Target, Verb
from service.routes_file import RoutesFile


class Admin:
    """Handlers behind one bearer token, compared in constant time."""

    def __init__(self, *, catalogue: Catalogue, routes: RoutesFile, token: SecretStr | None) -> None:
        self._catalogue, self._routes, self._token = catalogue, routes, token

    def handlers(self) -> dict[Verb, Handler]:
        """One handler a verb."""
        return {Verb.ADMIN_ROUTES: self.routes, Verb.ADMIN_VERSIONS: self.versions}

    async def routes(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """The routes document as it stands on disk, and the generation that this worker uses."""
        self._authorise(headers)
        document = msgspec.to_builtins(self._routes.read())
        return Answer(200, msgspec.json.encode({**document, "applied_generation": self._catalogue.current.generation}))

    async def versions(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """Every version that this worker has loaded, and every pin that it could not load."""
        self._authorise(headers)
        snapshot = self._catalogue.current
        loaded = [msgspec.to_builtins(version.pin) for version in snapshot.versions.values()]
        failed = [{"name": name, "version": version, "reason": reason} for name, version, reason in snapshot.failed]
        return Answer(200, msgspec.json.encode({"loaded": loaded, "failed": failed}))

    def _authorise(self, headers: Headers) -> None:
        if self._token is None:
            raise AdminDisabled
        given = next((value for name, value in headers if name == b"authorization"), b"")
        if not hmac.compare_digest(given, b"Bearer " + self._token.get_secret_value().encode()):
            raise NotAuthorised
