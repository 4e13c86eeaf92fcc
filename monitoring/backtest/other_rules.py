"""Which rules are to be tried: a TOML file with the keys of `[monitor]` that mean rules.

Law: a key that means no rule is refused, because a back-test that ignored it would answer another question.
"""

import tomllib
from pathlib import Path
from typing import Any

from monitoring.errors import SettingsInvalid
from monitoring.settings import RULE_KEYS, TABLE


def read_rules(path: Path) -> dict[str, Any]:
    """The settings of the file, at its top or in its table `[monitor]`. Raises SettingsInvalid."""
    try:
        found = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsInvalid(str(path), str(error), "TOML") from error
    if list(found) == [TABLE] and isinstance(found[TABLE], dict):
        found = found[TABLE]
    for key in found:
        if key not in RULE_KEYS:
            raise SettingsInvalid(f"{path} {key}", "no rule", f"some of {', '.join(sorted(RULE_KEYS))}")
    return found
