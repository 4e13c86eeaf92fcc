"""`plumbline models push|sign`: a version goes to a registry, and gets a signature."""

import os
from pathlib import Path

import click

from models.errors import ArtifactMissing
from models.lock import DIGEST
from models.lock_file import LockFile
from models.manifest import SIGNATURE
from models.registry import Registry
from models.sources.modelpack import pack
from models.sources.oci import OciSource
from service.commands.output import home_option, json_option, say, settings_of, speaks_plainly
from service.settings import Settings
from service.sources import access_of, signing

PASSWORD_VARIABLE = "PLUMBLINE_SIGNING_PASSWORD"


def _found(settings: Settings, what: str) -> tuple[str, str, str]:
    """Name, version and digest of `NAME:VERSION`, or of a digest. Raises ArtifactMissing."""
    if DIGEST.fullmatch(what):
        return what.removeprefix("sha256:")[:12], "", what
    name, _, version = what.partition(":")
    pin = LockFile(settings.lock_path).read().find(name, version)
    if pin is None:
        raise ArtifactMissing(what, str(settings.lock_path))
    return pin.name, pin.version, pin.digest


@click.command()
@click.argument("what")
@click.argument("target")
@home_option
@json_option
@speaks_plainly
def push(what: str, target: str, home: Path | None, as_json: bool) -> None:
    """Upload a version, pinned (NAME:VERSION) or registered (its digest), to an OCI registry, signature included.

    \b
    plumbline models push rides:2 oci:registry.example/models/rides:2
    """
    settings = settings_of(home)
    name, version, digest = _found(settings, what)
    registry = Registry(settings.registry_root)
    files = registry.read_files(digest, what)
    signature = registry.signature(digest)
    signed = {} if signature is None else {SIGNATURE: signature}
    source = OciSource(access_of(settings)).push(target, pack({**files, **signed}, name=name, version=version))
    say(
        {"digest": digest, "source": source, "signed": signature is not None},
        as_json=as_json,
        text=f"{what} is at {source}{'' if signature is None else ', with its signature'}\n"
        f"pin it from there: plumbline models pin {name} {version or 'VERSION'} {source}",
    )


@click.command()
@click.argument("what")
@click.option("--key", type=click.Path(path_type=Path), required=True, help="Private key (PEM, P-256, P-384 or P-521).")
@home_option
@json_option
@speaks_plainly
def sign(what: str, key: Path, home: Path | None, as_json: bool) -> None:
    """Sign a version, pinned (NAME:VERSION) or registered (its digest). PLUMBLINE_SIGNING_PASSWORD unlocks the key.

    \b
    plumbline models sign rides:2 --key release.pem
    """
    settings = settings_of(home)
    name, _, digest = _found(settings, what)
    registry = Registry(settings.registry_root)
    files = registry.read_files(digest, what)
    password = os.environ.get(PASSWORD_VARIABLE)
    signature = signing("models sign").sign(files, key, name=name, password=password.encode() if password else None)
    registry.put_signature(digest, signature)
    place = registry.place(digest) / SIGNATURE
    say({"digest": digest, "signature": str(place)}, as_json=as_json, text=f"{what} {digest} signed: {place}")
