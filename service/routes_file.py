"""The routes document on disk: read, compare-and-swap by generation."""

from pathlib import Path

from models.durable import exclusively, replace_durably
from service.errors import RoutesInvalid
from service.routes_document import Routes


class RoutesFile:
    """`routes.toml` in the home directory; replaced atomically, so a reader sees one generation or the next."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Routes:
        """The document; an absent file is generation 0 without models. Raises RoutesInvalid."""
        try:
            return Routes.decode(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Routes()
        except UnicodeDecodeError as error:
            raise RoutesInvalid("routes.toml", str(error), "UTF-8 text") from error

    def swap(self, expected_generation: int, routes: Routes) -> None:
        """Writes the next generation. Raises RoutesInvalid when somebody else was first."""
        with exclusively(self.path):
            present = self.read().generation
            if present != expected_generation or routes.generation != present + 1:
                raise RoutesInvalid(
                    "generation", str(present), f"{expected_generation}, from which the change was made"
                )
            replace_durably(self.path, routes.encode().encode())
