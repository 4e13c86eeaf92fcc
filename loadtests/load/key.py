"""Which API key do the requests of a run carry? That of the environment, whoever of the run asks."""

import os

API_KEY = "PLUMBLINE_API_KEY"


def key_headers() -> dict[str, str]:
    """Nothing where there is no key."""
    key = os.environ.get(API_KEY, "")
    return {"x-api-key": key} if key else {}
