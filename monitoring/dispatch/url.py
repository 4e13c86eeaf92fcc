"""Which urls may be posted to? One answer for all receivers.

Law: what is answered repeats nothing of the url: it may be a secret.
"""

import httpx

URL = "http or https, a host, a port of 1 to 65535 where there is one, and no user"


def url_fault(text: str) -> str | None:
    """Why nothing can be posted there; None: it can."""
    try:
        url = httpx.URL(text)
        host = url.host
    except (httpx.InvalidURL, ValueError):  # the latter of names that IDNA does not know
        return "what is no url"
    if url.scheme not in ("http", "https"):
        return "another scheme" if url.scheme else "no scheme"
    if not host:
        return "no host"
    if url.userinfo:
        return "a user in it"
    if url.port is not None and not 1 <= url.port <= 65_535:
        return "a port that there is not"
    return None
