"""Settings to the registry and the sources that fill it: the one place, for the service and for the commands."""

from importlib import import_module
from pathlib import Path
from typing import Any

from models.errors import CredentialsInvalid, SigningUnavailable
from models.fetch import Fetcher
from models.registry import Registry, Trust
from models.sources import bentoml, file, mlflow, oci
from models.sources.credentials import EXPECTED, Credentials
from models.sources.web import Access
from service.settings import Settings
from service.trying import trials_of

SIGNING = "models.signing"  # imports the packages of the extra, a second and 30 MB: only where they are asked for


def registry_of(settings: Settings) -> Registry:
    """The local registry; it reads what is signed alone where the settings ask for that. Raises SigningUnavailable."""
    return Registry(settings.registry_root, trust_of(settings))


def trust_of(settings: Settings) -> Trust | None:
    """None where signatures are not asked for."""
    if not settings.require_signature:
        return None
    trust: Trust = signing("require_signature").Signatures(settings.signature_keys)
    return trust


def signing(what: str) -> Any:
    """The module models.signing, asked for by `what`. Raises SigningUnavailable where the extra is not installed."""
    try:
        return import_module(SIGNING)
    except ImportError as error:
        expected = "the extra `signing`: pip install 'plumbline[signing]'"
        raise SigningUnavailable(what, str(error), expected) from error


def fetcher_of(settings: Settings, *, relative_to: Path | None = None) -> Fetcher:
    """Fills the registry; relative `file:` sources are below the home unless told otherwise. Raises CredentialsInvalid."""
    access = access_of(settings)
    return Fetcher(
        registry_of(settings),
        {
            file.SCHEME: file.FileSource(relative_to or settings.home),
            oci.SCHEME: oci.OciSource(access),
            mlflow.SCHEME: mlflow.MlflowSource(access, settings.mlflow_tracking_uri),
            bentoml.SCHEME: bentoml.BentomlSource(
                settings.bentoml_store.expanduser(), bytes_max=settings.sources_bytes_max
            ),
        },
        trials=trials_of(settings),
    )


def access_of(settings: Settings) -> Access:
    """How servers of artefacts are asked. Raises CredentialsInvalid."""
    return Access(
        credentials=_credentials(settings),
        plain_http=frozenset(host.lower() for host in settings.sources_plain_http),
        ca_file=settings.sources_ca_file,
        bytes_max=settings.sources_bytes_max,
        timeout_s=settings.sources_timeout_s,
    )


def _credentials(settings: Settings) -> Credentials:
    if settings.sources_auth is not None:
        return Credentials.decode(settings.sources_auth.get_secret_value(), "sources_auth")
    if settings.sources_auth_file is None:
        return Credentials()
    try:
        text = settings.sources_auth_file.read_bytes()
    except OSError as error:
        raise CredentialsInvalid(f"sources_auth_file {settings.sources_auth_file}", str(error), EXPECTED) from error
    return Credentials.decode(text, f"sources_auth_file {settings.sources_auth_file}")
