"""Was a body that cannot be read ever meant to be? The content type is asked only then: a good body costs no look at it.

Law: a body that can be read is read, whatever it is called (curl's `-d` calls JSON a form).
"""

from service.errors import MalformedBody, RequestError, UnsupportedEncoding
from service.http.answer import ARROW, Headers

_READ = (b"application/json", b"application/octet-stream", b"application/x-www-form-urlencoded", ARROW)
_EXPECTED = (
    "application/json, application/octet-stream with Inference-Header-Content-Length, "
    "or application/vnd.apache.arrow.stream"
)
_SHOWN_CHARS = 64


def explained(error: RequestError, headers: Headers) -> RequestError:
    """The same error, or UnsupportedEncoding where an unreadable body was declared as something that no route reads."""
    if not isinstance(error, MalformedBody):
        return error
    for name, value in headers:
        if name == b"content-type":
            media = value.partition(b";")[0].strip().lower()
            if media not in _READ and not media.endswith(b"+json"):
                return UnsupportedEncoding(media[:_SHOWN_CHARS].decode("latin-1"), _EXPECTED)
    return error
