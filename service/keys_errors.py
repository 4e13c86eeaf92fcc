"""Errors of a request whose key does not open what it asks for; `errors.py` says what they have in common."""

from models.keys import Refusal
from service.errors import Failed, Rejected

_EXPECTED = "expected 'Authorization: Bearer <key>' or 'x-api-key: <key>'"


class KeyMissing(Rejected):
    """This service asks for an API key, and the request has none."""

    code = "key_missing"

    def __init__(self, known: int) -> None:
        """`known`: how many keys there are."""
        super().__init__(known)
        self.known = known

    def __str__(self) -> str:
        first = "" if self.known else "; there is none yet, `plumbline keys add` on its host makes one"
        return f"API key: found none, {_EXPECTED}; nothing was done{first}"


class KeyRefused(Rejected):
    """The API key is not known here, has expired, or was revoked."""

    code = "key_refused"

    def __init__(self, why: Refusal, identifier: str = "") -> None:
        """`identifier`: only of a key that was right."""
        super().__init__(why, identifier)
        self.why, self.identifier = why, identifier

    def __str__(self) -> str:
        match self.why:
            case Refusal.UNKNOWN:
                found = "not known here"
            case Refusal.EXPIRED:
                found = "has expired"
            case Refusal.REVOKED:
                found = "was revoked"
        named = f" {self.identifier}" if self.identifier else ""
        return f"API key{named}: {found}, expected a live one of `plumbline keys list`; nothing was done"


class ScopeMissing(Rejected):
    """The API key does not open this route, or this model."""

    code = "scope_missing"

    def __init__(self, identifier: str, found: str, expected: str) -> None:
        super().__init__(identifier, found, expected)
        self.identifier, self.found, self.expected = identifier, found, expected

    def __str__(self) -> str:
        return f"API key {self.identifier}: opens {self.found}, expected {self.expected}; nothing was done"


class RateLimited(Rejected):
    """The API key has used the rows a second that it has; Retry-After says when there are some again."""

    code = "rate_limited"
    retry_after_s = 1

    def __init__(self, identifier: str, rows_per_s: float, retry_after_s: int) -> None:
        super().__init__(identifier, rows_per_s, retry_after_s)
        self.identifier, self.rows_per_s, self.retry_after_s = identifier, rows_per_s, retry_after_s

    def __str__(self) -> str:
        return (
            f"API key {self.identifier}: its {self.rows_per_s:g} rows/s are used up, expected a request after "
            "`retry-after`; nothing was predicted"
        )


class KeysUnavailable(Failed):
    """The file of the API keys could not be read since the start, so nobody is let in."""

    code = "keys_unavailable"
    retry_after_s = 5

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.reason}; nobody is let in before it can be read"
