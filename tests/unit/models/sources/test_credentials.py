import json
from base64 import b64encode

import pytest

from models.errors import CredentialsInvalid
from models.sources.credentials import Basic, Bearer, Credentials, header

SECRET = "hunter2hunter2"
AUTH = b64encode(f"me:{SECRET}".encode()).decode()


def decoded(entry: object, host: str = "registry.example:5000") -> Credentials:
    return Credentials.decode(json.dumps({"auths": {host: entry}}), "auth.json")


def test_docker_s_file_is_read_by_host() -> None:
    known = decoded({"auth": AUTH})
    assert known.of("registry.example:5000") == Basic(AUTH) == known.of("Registry.Example:5000")
    assert known.of("registry.example") is None
    assert header(Basic(AUTH)) == f"Basic {AUTH}"
    assert decoded({"username": "me", "password": SECRET}).of("registry.example:5000") == Basic(AUTH)
    assert decoded({"registrytoken": SECRET}).of("registry.example:5000") == Bearer(SECRET)
    assert decoded({"auth": AUTH}, "https://index.docker.io/v1/").of("index.docker.io") == Basic(AUTH)
    assert Credentials.decode("{}", "auth.json").of("registry.example") is None


@pytest.mark.parametrize(
    "entry",
    [
        {"auth": SECRET},
        {"auth": b64encode(SECRET.encode()).decode()},
        {"identitytoken": SECRET},
        {"registrytoken": f"{SECRET}\r\nx: y"},
        {"auth": 5, "password": SECRET},
        {},
        [SECRET],
    ],
    ids=str,
)
def test_what_is_no_credential_is_refused_by_place_and_never_shown(entry: object) -> None:
    with pytest.raises(CredentialsInvalid, match=r"auth\.json.*nothing was fetched") as refused:
        decoded(entry)
    chained = refused.value.__cause__, None if refused.value.__suppress_context__ else refused.value.__context__
    assert SECRET not in f"{refused.value} {refused.value.args} {chained}"


def test_nothing_that_is_shown_holds_a_secret() -> None:
    known = decoded({"auth": AUTH})
    assert AUTH not in repr(known) + repr(known.of("registry.example:5000")) + repr(Bearer(AUTH))
