"""How is a secret read? From a file or a variable, once, at the start; one that no header could hold stops it.

Law: an error says which setting names the secret and what is wrong with it, never a piece of it. A library that meets a bad
header later would show it, in a status that everybody may read.
"""

from collections.abc import Mapping
from pathlib import Path

from monitoring.dispatch.line import LINE, line_fault
from monitoring.errors import SettingsInvalid


def from_file(where: str, path: Path) -> str:
    """What the file holds, without the blanks around it. Raises SettingsInvalid."""
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise SettingsInvalid(where, str(error), "a readable file that holds it") from error
    except UnicodeDecodeError:
        raise SettingsInvalid(where, "bytes that are no text", "a file that holds it") from None


def from_variable(where: str, name: str, environment: Mapping[str, str]) -> str:
    """What the variable holds, without the blanks around it. Raises SettingsInvalid."""
    if not environment.get(name):
        raise SettingsInvalid(where, f"no variable {name}", "one that holds it")
    return environment[name].strip()


def usable(where: str, secret: str) -> str:
    """The secret, where a header can hold it. Raises SettingsInvalid."""
    fault = line_fault(secret)
    if fault is not None:
        raise SettingsInvalid(where, fault, LINE)
    return secret
