"""Which names in the environment and in plumbline.toml does nobody read?"""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from models.finding import Finding, bad
from models.unread import unread

PREFIX, MONITORS = "PLUMBLINE_", "PLUMBLINE_MONITOR_"
TABLES = ("service", "monitor")
# No settings: what commands and the processes themselves read, and the monitor's two without its prefix.
OTHERS = frozenset({
    "PLUMBLINE_ADMIN_TOKEN", "PLUMBLINE_API_KEY", "PLUMBLINE_BOARD", "PLUMBLINE_SIGNING_PASSWORD", "PLUMBLINE_SUPERVISOR",
    "PLUMBLINE_WEBHOOK_SECRET",
})  # fmt: skip


def variables(environment: Iterable[str], fields: Iterable[str]) -> Iterator[Finding]:
    """Variables that look like the service's and are none; the monitor looks at its own."""
    known = {f"{PREFIX}{field.upper()}" for field in fields} | OTHERS
    ours = [name for name in environment if name.startswith(PREFIX) and not name.startswith(MONITORS)]
    yield from unread("environment", ours, known)


def tables(found: Iterable[str], file: str) -> Iterator[Finding]:
    """Tables at the top of the file; keys inside them are checked where they are read."""
    expected = " and ".join(f"[{table}]" for table in TABLES)
    for name in found:
        if name not in TABLES:
            near = get_close_matches(name, TABLES, n=1)
            advice = f"rename it to [{near[0]}]" if near else f"remove it from {file}"
            yield bad("settings", f"{file}: nobody reads [{name}]", expected, advice)
