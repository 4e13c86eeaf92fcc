"""What may stand in the head of a request: which lines, which names of headers; and which of the names mean a secret?

Law: what is answered is about the text and repeats none of it: it may be a secret.
"""

import re

LINE = "one line of printable ASCII"
NAME = "letters, digits and hyphens"
# Parts of names under which somebody's API takes a secret. They refuse some that are none (`x-author`): those can be given as
# secrets are, while a secret that stands in a file meant to be shared cannot be taken back.
_SECRET = re.compile(r"auth|cookie|credential|key|passw|pwd|secret|session|signature|token", re.IGNORECASE)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)  # `token` of RFC 9110
# What follows from the message or frames it: of two of them one would be believed.
OWN = frozenset(
    {
        "accept-encoding", "connection", "content-length", "content-type", "host", "te", "trailer", "transfer-encoding",
        "upgrade", "webhook-id", "webhook-signature", "webhook-timestamp",
    }
)  # fmt: skip


def line_fault(text: str) -> str | None:
    """Why this is no line that a header can hold; None: it is one."""
    if not text.strip():
        return "nothing"
    if any(character in text for character in "\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029"):
        return "more than one line"
    if text != text.strip():
        return "blanks around it"
    if not (text.isascii() and text.isprintable()):
        return "characters that are not printable ASCII"
    return None


def is_name(text: str) -> bool:
    """Can a header have this name?"""
    return _NAME.fullmatch(text) is not None


def means_secret(name: str) -> bool:
    """Does a header of this name hold a secret, as far as its name says?"""
    return _SECRET.search(name) is not None
