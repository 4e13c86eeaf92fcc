"""`GET /openapi.json`, `GET /docs` and `GET /`: what the service port answers, for programs and for people."""

import msgspec

from service.http.answer import HTML, Answer, Headers
from service.http.docs_page import POLICY, page
from service.http.edge import Handler
from service.http.openapi import document
from service.http.paths import Target, Verb
from service.http.shapes import schemas

_RANGES_MAX = 16  # of an Accept header; browsers name theirs first
_POLICY = (b"content-security-policy", POLICY.encode())


class Documents:
    """All are made once and kept as bytes."""

    def __init__(self, release: str, *, keyed: bool = False) -> None:
        """`keyed`: the service asks for API keys."""
        made = document(release, schemas(), keyed=keyed)
        self._document, self._page = msgspec.json.encode(made), page(made).encode()

    def handlers(self) -> dict[Verb, Handler]:
        """One handler a verb."""
        return {Verb.OPENAPI: self.openapi, Verb.DOCS: self.docs, Verb.ROOT: self.root}

    async def openapi(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """The OpenAPI 3.1 document."""
        return Answer(200, self._document)

    async def docs(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """The page; the policy lets a browser load nothing for it, from here or from elsewhere."""
        return Answer(200, self._page, [_POLICY], HTML)

    async def root(self, target: Target, headers: Headers, body: bytes, request_id: str) -> Answer:
        """The page for whoever names HTML as what it accepts; for all others that the service is alive, as KServe's V1 asks."""
        told = [_POLICY, (b"vary", b"accept")]
        return (
            Answer(200, self._page, told, HTML) if _reads_pages(headers) else Answer(200, b'{"status":"alive"}', told)
        )


def _reads_pages(headers: Headers) -> bool:
    accepted = b",".join(value for name, value in headers if name == b"accept").lower()
    ranges = accepted.split(b",", _RANGES_MAX)[:_RANGES_MAX]
    return any(one.partition(b";")[0].strip() == b"text/html" for one in ranges)
