"""Where is it kept what people said of a rollout? `<home>/rollouts/<model>.people.jsonl`, one JSON object a line.

Law: `say` returns when the word is fsynced; a reader sees all of it or nothing.
"""

from pathlib import Path

import msgspec

from models.durable import exclusively, replace_durably
from models.errors import UNDECODABLE
from monitoring.errors import RolloutInvalid
from monitoring.rollout.control import Word
from monitoring.rollout.reading import FOLDER

WORDS_MAX = 1000  # the newest are kept; a person who paused a thousand times needs no older ones
LOCK_WITHIN_S = 5.0  # saying takes milliseconds

_decoder = msgspec.json.Decoder(Word)


def words(home: Path, model: str) -> list[Word]:
    """What was said, oldest first. Raises RolloutInvalid, OSError."""
    path = _path(home, model)
    try:
        return [_decoder.decode(line) for line in path.read_bytes().splitlines()]
    except FileNotFoundError:
        return []
    except UNDECODABLE as error:
        raise RolloutInvalid(str(path), str(error), "lines as `plumbline rollout pause` writes them") from error


def say(home: Path, model: str, word: Word) -> None:
    """Adds a word. Raises RolloutInvalid, TimeoutError, OSError."""
    path = _path(home, model)
    with exclusively(path, within_s=LOCK_WITHIN_S):
        kept = [*words(home, model), word][-WORDS_MAX:]
        replace_durably(path, b"".join(msgspec.json.encode(one) + b"\n" for one in kept))


def _path(home: Path, model: str) -> Path:
    return home / FOLDER / f"{model}.people.jsonl"
