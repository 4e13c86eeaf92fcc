"""`GET /openapi.json` and `GET /docs`: what the service port answers, for programs and for people."""

import msgspec

from service.http.answer import HTML, Answer
from service.http.docs_page import POLICY, page
from service.http.edge import Handler, Headers
from service.http.openapi import document
from service.http.paths import Target, Verb
from service.http.shapes import schemas


class Documents:
    """Both are made once and kept as bytes."""

    def __init__(self, release: str) -> None:
        made = document(release, schemas())
        self._document, self._page = msgspec.json.encode(made), page(made).encode()

    def handlers(self) -> dict[Verb, Handler]:
        """One handler a verb."""
        return {Verb.OPENAPI: self.openapi, Verb.DOCS: self.docs}

    async def openapi(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """The OpenAPI 3.1 document."""
        return Answer(200, self._document)

    async def docs(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """The page; the policy lets a browser load nothing for it, from here or from elsewhere."""
        return Answer(200, self._page, [(b"content-security-policy", POLICY.encode())], HTML)
