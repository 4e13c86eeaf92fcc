"""What do the documents tell their readers to type?"""

import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

import click

from plumbline import main
from tests.processes import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ANYTHING = "…"  # in what a document says is printed
_VARIABLES = re.compile(r"^(?:[A-Z_]+=\S* )+")
_COMMAND = re.compile(r"^(?:\.venv/bin/)?plumbline +(.*)$")

_QUESTION = re.compile(r"^curl -?\S* *['\"]?http://127\.0\.0\.1:300[01]/")


class Step(NamedTuple):
    """A block to be copied, and what is printed, as far as the page says so."""

    commands: str
    printed: tuple[str, ...]


def steps(page: str) -> list[Step]:
    """The blocks of a page that are marked `sh`, each with the block `text` behind it."""
    found = re.findall(r"^```sh\n(.*?)^```\n(?:```text\n(.*?)^```)?", page, re.DOTALL | re.MULTILINE)
    return [Step(commands, tuple(printed.splitlines())) for commands, printed in found]


def missing(printed: tuple[str, ...], output: str) -> str | None:
    """The first line of what should be printed that is not there, behind those before it."""
    place = 0
    for line in printed:
        hit = re.compile(".*?".join(map(re.escape, line.split(ANYTHING)))).search(output, place)
        if hit is None:
            return line
        place = hit.end()
    return None


def words_of(line: str) -> list[str]:
    """The words of a command, without what follows it in a shell (a redirection, a pipe, a comment)."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    return list(takewhile(lambda word: not set(word) <= set("|&;<>"), lexer))


def fenced(page: str) -> Iterator[list[str]]:
    """The words of every `plumbline` command that stands in a block to be copied."""
    for line in _lines(page):
        if (command := _COMMAND.match(_VARIABLES.sub("", line))) is not None:
            yield words_of(command[1])


def questions(page: str) -> Iterator[str]:
    """The lines that stand there too, and ask something of a service or monitor on this machine by `curl`."""
    return (line for line in _lines(page) if _QUESTION.match(line))


def _lines(page: str) -> Iterator[str]:
    """Of every block to be copied, marked `sh` or indented; a line that goes on is one."""
    for block in [step.commands for step in steps(page)] + re.findall(r"^    \S.*$", page, re.MULTILINE):
        yield from map(str.strip, block.replace("\\\n", " ").splitlines())


def inline(page: str) -> Iterator[list[str]]:
    """The same of those that are only named in a sentence, and may lack their arguments."""
    for line in re.findall(r"`plumbline ([^`\n]+)`", page):
        yield shlex.split(line.replace("\\", ""))


def path_of(words: list[str]) -> tuple[list[str], list[str]]:
    """The subcommands of a command, and what follows them."""
    command: click.Command = main
    taken = 0
    while isinstance(command, click.Group) and taken < len(words) and not words[taken].startswith("-"):
        name = words[taken]
        found = command.get_command(click.Context(command), name)
        assert found, f"plumbline {' '.join(words)}: no subcommand {name!r}"
        command, taken = found, taken + 1
    return words[:taken], words[taken:]


def leaf(path: list[str]) -> click.Command:
    """The command at the end of a path."""
    command: click.Command = main
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found
        command = found
    return command
