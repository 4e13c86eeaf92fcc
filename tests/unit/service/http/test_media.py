"""The content type is asked only about a body that could not be read."""

import pytest

from service.errors import BodyTooLarge, MalformedBody, UnsupportedEncoding
from service.http.media import explained

UNREAD = MalformedBody("junk", "JSON")


@pytest.mark.parametrize("media", [b"text/csv", b"application/xml; charset=utf-8", b"", b"x" * 500])
def test_what_was_never_json_is_told_by_its_name(media: bytes) -> None:
    error = explained(UNREAD, [(b"content-type", media)])
    assert isinstance(error, UnsupportedEncoding)
    assert error.expected.startswith("application/json") and len(str(error)) < 300


@pytest.mark.parametrize(
    "media",
    [b"application/json", b"Application/JSON; charset=utf-8", b"application/ld+json", b"application/octet-stream"],
)
def test_what_says_json_is_told_what_was_wrong_with_it(media: bytes) -> None:
    assert explained(UNREAD, [(b"content-type", media)]) is UNREAD
    assert explained(UNREAD, []) is UNREAD


def test_other_errors_are_not_about_the_media_type() -> None:
    error = BodyTooLarge(1)
    assert explained(error, [(b"content-type", b"text/csv")]) is error
