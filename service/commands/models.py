"""`plumbline models …`: from a file on a disk to a pinned, verified, routed version."""

from pathlib import Path

import click
import msgspec

from models.add import Added
from models.add import add as add_version
from models.contract import Privacy
from models.errors import ArtifactMissing, LockInvalid, ModelError
from models.fetch import Taken
from models.lock import NAME, Pin
from models.lock_file import LockFile
from models.manifest import CARD
from models.registry import Registry
from service.commands.lazy import LazyGroup
from service.commands.output import (
    CANNOT,
    FOUND_FAULT,
    home_option,
    json_option,
    say,
    say_rows,
    settings_of,
    speaks_plainly,
)
from service.ejected import EjectedFile
from service.routes_file import RoutesFile
from service.seeding import route_first
from service.sources import fetcher_of, registry_of
from service.trying import trials_of

ANY_DIGEST = f"sha256:{'0' * 64}"
MEMBERS = {
    "push": ("service.commands.models_supply:push", "Upload a version to an OCI registry."),
    "sign": ("service.commands.models_supply:sign", "Sign a version."),
}


@click.group(cls=LazyGroup, members=MEMBERS)
def models() -> None:
    """Register, pin, verify, sign and hand on model versions."""


def _next_version(lock_file: LockFile, name: str) -> str:
    numbers = [int(pin.version) for pin in lock_file.read().versions(name) if pin.version.isdigit()]
    return str(max(numbers, default=0) + 1)


def _privacies(given: tuple[str, ...]) -> dict[str, Privacy]:
    """`FEATURE=WORD` each; a name may hold an equals sign, a word does not."""
    found: dict[str, Privacy] = {}
    for one in given:
        name, _, word = one.rpartition("=")
        if not name or word not in set(Privacy):
            raise click.BadParameter(f"found {one!r}, expected FEATURE=WORD with one of {', '.join(Privacy)}")
        found[name] = Privacy(word)
    return found


@models.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Name under which it is served.")
@click.option("--version", default=None, help="Version name; the next whole number when absent.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Training data (.csv, .parquet) for contract and baseline."
)
@click.option(
    "--validation",
    type=click.Path(path_type=Path),
    help="Rows with labels that the model was not trained on: what it is good for, and what later labels are held against.",
)
@click.option("--label", help="Column of the data that is the label, not a feature.")
@click.option("--time", help="Column of the data that is the time, from which natural variation is learnt.")
@click.option(
    "--by-hour", is_flag=True, help="Hold traffic against training's same hours of the week (UTC); needs --time."
)
@click.option(
    "--privacy",
    "private",
    multiple=True,
    callback=lambda _context, _option, given: _privacies(given),
    metavar="FEATURE=WORD",
    help="What is written of a feature: keep, drop, hash or bucket; may be given many times.",
)
@click.option("--no-pin", is_flag=True, help="Only register; pin later.")
@home_option
@json_option
@speaks_plainly
def add(
    model: Path,
    name: str,
    version: str | None,
    data: Path | None,
    validation: Path | None,
    label: str | None,
    time: str | None,
    by_hour: bool,
    private: dict[str, Privacy],
    no_pin: bool,
    home: Path | None,
    as_json: bool,
) -> None:
    """Register a graph, pin it, and route to it where its model has no route yet.

    \b
    plumbline models add model.onnx --name rides --data train.csv --label cnt
    plumbline models add model.onnx --name loans --data loans.csv --privacy customer_id=hash --privacy income=bucket
    """
    _fit_together(data=data, validation=validation, label=label, time=time, by_hour=by_hour)
    settings = settings_of(home)
    lock_file = LockFile(settings.lock_path)
    version = version or _next_version(lock_file, name)
    for what, value in (("--name", name), ("--version", version)):
        if not NAME.fullmatch(value):
            raise LockInvalid(what, repr(value), f"lower-case letters, digits, - _ . ({NAME.pattern})")
    registry = Registry(settings.registry_root)
    ref, trials = f"{name}:{version}", trials_of(settings)
    added = add_version(
        registry,
        model,
        ref,
        trials=trials,
        data=data,
        validation=validation,
        label=label,
        time=time,
        by_hour=by_hour,
        privacy=private,
    )
    pin = Pin(name=name, version=version, digest=added.digest, source=f"file:{registry.place(added.digest).absolute()}")
    routed, unsigned = False, not registry_of(settings).intact(added.digest)
    if not (no_pin := no_pin or unsigned):
        lock_file.pin(pin)
        EjectedFile(settings.ejected_path).readmit([pin.digest])
        routed = route_first(RoutesFile(settings.routes_path), pin)
    features = [column.name for column in added.contract.features]
    result = {
        "name": name,
        "version": version,
        "digest": added.digest,
        "pinned": not no_pin,
        "stable": routed,
        "features": features,
        "baseline_rows": added.baseline_rows,
    }
    text = _said(pin, added, no_pin=no_pin, unsigned=unsigned, routed=routed)
    say(result, as_json=as_json, text=text)


def _fit_together(
    *, data: Path | None, validation: Path | None, label: str | None, time: str | None, by_hour: bool
) -> None:
    """Raises UsageError for an option that lacks the one it needs."""
    if by_hour and time is None:
        raise click.UsageError("--by-hour needs --time, the column that says when")
    if validation is not None and (data is None or label is None):
        raise click.UsageError("--validation needs --data, for the contract and the baseline, and --label")


def _said(pin: Pin, added: Added, *, no_pin: bool, unsigned: bool, routed: bool) -> str:
    features = added.contract.features
    what = f"{len(features)} features" if features else "plain tensors"
    if unsigned:
        sign = f"first `plumbline models sign {pin.digest} --key …`, then `models pin {pin.name} {pin.version} …`"
        state = f"registered; {sign}"
    elif no_pin:
        state = "registered"
    else:
        state = "pinned, stable" if routed else "pinned, not routed yet: `plumbline routes set`"
    return f"{pin.ref} {added.digest}\n{what}, baseline of {added.baseline_rows} rows; {state}"


@models.command()
@click.argument("name")
@click.argument("version")
@click.argument("source")
@home_option
@json_option
@speaks_plainly
def pin(name: str, version: str, source: str, home: Path | None, as_json: bool) -> None:
    """Pin a registered digest, or what a source offers now, under a version name; a tag or alias is resolved for good.

    \b
    plumbline models pin rides 2 sha256:8c1f…
    plumbline models pin rides 2 oci:registry.example/models/rides:2
    plumbline models pin rides 2 mlflow:models:/rides@champion
    plumbline models pin rides 2 bentoml:rides:latest
    """
    settings = settings_of(home)
    registered = ":" not in source or source.startswith("sha256:")
    # what is no name, version or digest is said before anything is fetched
    Pin(name=name, version=version, digest=source if registered else ANY_DIGEST, source=source)
    if registered:
        registry, ref = registry_of(settings), f"{name}:{version}"
        trials_of(settings).admit(source, ref, registry.read_files(source, ref))
        taken = Taken(source, f"file:{registry.place(source).absolute()}")
    else:
        taken = fetcher_of(settings).take(source, ref=f"{name}:{version}")
    chosen = Pin(name=name, version=version, digest=taken.digest, source=taken.source)
    LockFile(settings.lock_path).pin(chosen)
    EjectedFile(settings.ejected_path).readmit([chosen.digest])
    routed = route_first(RoutesFile(settings.routes_path), chosen)
    say(
        {"name": name, "version": version, "digest": taken.digest, "source": taken.source, "stable": routed},
        as_json=as_json,
        text=f"{chosen.ref} pinned to {taken.digest}{', stable' if routed else ''}\nsource {taken.source}",
    )


@models.command("list")
@home_option
@json_option
@speaks_plainly
def list_(home: Path | None, as_json: bool) -> None:
    """Every pin, and whether its bytes are here.

    \b
    plumbline models list
    """
    settings = settings_of(home)
    registry, routes = Registry(settings.registry_root), RoutesFile(settings.routes_path).read().policies()
    rows = [
        {
            "name": pin.name,
            "version": pin.version,
            "role": _role(routes.get(pin.name), pin.version),
            "here": registry.has(pin.digest),
            "digest": pin.digest if as_json else pin.digest[:19],
        }
        for pin in LockFile(settings.lock_path).read().pins
    ]
    say_rows(rows, as_json=as_json)


def _role(policy: object, version: str) -> str:
    if policy is None or version not in getattr(policy, "versions", frozenset)():
        return "-"
    if version == getattr(policy, "stable", None):
        return "stable"
    canary = getattr(policy, "canary", None)
    return "canary" if canary is not None and canary.version == version else "shadow"


@models.command()
@click.argument("name")
@click.argument("version", required=False)
@home_option
@json_option
@speaks_plainly
def show(name: str, version: str | None, home: Path | None, as_json: bool) -> None:
    """The contract and lineage of a version.

    \b
    plumbline models show payments 1
    """
    settings = settings_of(home)
    pins = LockFile(settings.lock_path).read().versions(name)
    chosen = next((pin for pin in reversed(pins) if version in (None, pin.version)), None)
    if chosen is None:
        raise ArtifactMissing(f"{name}:{version or '*'}", str(settings.lock_path))
    registry = Registry(settings.registry_root)
    contract = registry.contract(chosen)
    card = msgspec.json.decode(registry.read_files(chosen.digest, chosen.ref).get(CARD, b"{}"))
    if as_json:
        click.echo(msgspec.json.encode({"pin": chosen, "contract": contract, "card": card}).decode())
        return
    click.echo(f"{chosen.ref}  {chosen.digest}\nfrom {chosen.source}\n")
    say_rows(
        [
            {
                "feature": column.name,
                "kind": column.kind.value,
                "nullable": "yes" if column.nullable else "",
                "privacy": "" if column.privacy is Privacy.KEEP else column.privacy.value,
                "training range": _range(column.low, column.high, column.categories),
            }
            for column in contract.features
        ],
        as_json=False,
    )
    click.echo(f"\noutputs: {', '.join(column.name for column in contract.output_columns) or 'plain tensors'}")


def _range(low: float | None, high: float | None, categories: tuple[str, ...] | None) -> str:
    if categories is not None:
        return ", ".join(categories[:6]) + (f", … ({len(categories)})" if len(categories) > 6 else "")
    return "" if low is None or high is None else f"{low:g} … {high:g}"


@models.command()
@home_option
@json_option
@speaks_plainly
def verify(home: Path | None, as_json: bool) -> None:
    """Hash every pinned version again; exit code 1 when one is not what its pin says.

    \b
    plumbline models verify
    """
    settings = settings_of(home)
    registry = registry_of(settings)
    rows = []
    for pin in LockFile(settings.lock_path).read().pins:
        try:
            registry.read_files(pin.digest, pin.ref)
            rows.append({"version": pin.ref, "ok": True, "found": "as pinned"})
        except ModelError as error:
            rows.append({"version": pin.ref, "ok": False, "found": str(error)})
    say_rows(rows, as_json=as_json)
    if not all(row["ok"] for row in rows):
        raise SystemExit(FOUND_FAULT)


@models.command()
@home_option
@json_option
@speaks_plainly
def sync(home: Path | None, as_json: bool) -> None:
    """Fetch what is pinned and not here yet; verify what is; try what was not tried on this machine.

    \b
    plumbline models sync
    """
    settings = settings_of(home)
    fetcher, registry, trials = fetcher_of(settings), registry_of(settings), trials_of(settings)
    rows, failed = [], []
    for pin in LockFile(settings.lock_path).read().pins:
        try:
            fetched = fetcher.sync(pin)
            trials.admit(pin.digest, pin.ref, registry.read_files(pin.digest, pin.ref))
            rows.append({"version": pin.ref, "fetched": fetched})
        except (ModelError, OSError) as error:  # the others are fetched all the same
            failed.append(str(error))
    say_rows(rows, as_json=as_json)
    for reason in failed:
        click.echo(f"plumbline: {reason}", err=True)
    if failed:
        raise SystemExit(CANNOT)
