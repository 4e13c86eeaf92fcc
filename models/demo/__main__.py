"""`python -m models.demo`: trains the demo models, exports them and pins them. The same versions give the same bytes."""

from pathlib import Path

import click

from models.demo.training import RECIPES, train
from models.demo.versions import Version, pinned, version_of
from models.errors import ModelError
from models.lock import Lock

MODELS_DIR = Path(__file__).parents[1]
LOCK = "models.lock.toml"
CANNOT = 3


@click.command()
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=MODELS_DIR,
    show_default="the models package",
    help="Directory of the lock; the artefacts go to demo/artefacts below it.",
)
@click.option("--only", metavar="NAME", help="Train only the versions of this model.")
@click.option(
    "--replace", is_flag=True, help="Pin the new bytes under the old version names, before anyone has served them."
)
def main(into: Path, only: str | None, replace: bool) -> None:
    """Train, export and pin the demo models.

    Example: python -m models.demo --only tumours
    """
    try:
        versions = [version_of(train(recipe)) for recipe in RECIPES if only in (None, recipe.name)]
        lock = pinned(_lock(into / LOCK), versions, replace=replace)
    except ModelError as error:
        click.echo(str(error), err=True)
        raise SystemExit(CANNOT) from error
    for version in versions:
        _write(into, version)
        click.echo(f"{version.pin.ref}  {version.pin.digest}  {sum(map(len, version.files.values()))} bytes")
    (into / LOCK).write_text(lock.encode(), encoding="utf-8")


def _lock(path: Path) -> Lock:
    return Lock.decode(path.read_text(encoding="utf-8"), str(path)) if path.exists() else Lock()


def _write(into: Path, version: Version) -> None:
    folder = into / version.folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in version.files.items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
