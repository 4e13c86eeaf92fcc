"""Where is it kept what people said of alerts? `<home>/monitor/hands.jsonl`: one JSON object a line, only ever appended.

Laws
- `say` returns when the word is fsynced; whoever was acknowledged is remembered, also after power loss.
- Commands and the monitor's API write the same file under the same lock, so it does not matter whether a monitor runs.
- It is bounded: at `words_max` words, silences that ended and words on incidents of more than KEEP_S ago are let go; where
  that is not enough the word is refused.
- A line that was cut short was never acknowledged: it is cut off before the next one. What else is no word is skipped and
  counted.
"""

import os
from pathlib import Path

import msgspec

from models.durable import Stamp, exclusively, read_regular, replace_durably, stamp, sync_directory
from models.errors import UNDECODABLE
from monitoring.dispatch.hands import Hands, Word, hands_of, still_said
from monitoring.errors import HandsFull

FILE = "hands.jsonl"
WORDS_MAX = 10_000  # a person a minute for a week
BYTES_MAX = 32 * 1024 * 1024  # of 10 000 words of the longest texts; what is beyond is not read
KEEP_S = 30 * 86_400.0
LOCK_WITHIN_S = 5.0  # saying takes milliseconds

_decoder: msgspec.json.Decoder[Word] = msgspec.json.Decoder(Word)


class HandsFile:
    """The file of one home; `hands` is what it said when it was last looked at."""

    def __init__(self, directory: Path, words_max: int = WORDS_MAX) -> None:
        self.path, self._words_max = directory / FILE, words_max
        self._seen: Stamp | None = None
        self._hands = Hands()
        self.skipped = 0

    def hands(self) -> Hands:
        """What holds now; reads only what changed. Raises OSError."""
        now = stamp(self.path)
        if now != self._seen:
            self._hands = hands_of(self.words())
            self._seen = now
        return self._hands

    def words(self) -> list[Word]:
        """Everything that was said, oldest first. Raises OSError."""
        found: list[Word] = []
        self.skipped = 0
        for line in _whole(read_regular(self.path, BYTES_MAX) or b"").splitlines():
            try:
                found.append(_decoder.decode(line))
            except UNDECODABLE:
                self.skipped += 1
        return found

    def say(self, word: Word, now_s: float) -> None:
        """Adds a word. Raises HandsFull, TimeoutError, OSError."""
        with exclusively(self.path, within_s=LOCK_WITHIN_S):
            words = self.words()
            if len(words) >= self._words_max:
                words = still_said(words, now_s, KEEP_S)
                if len(words) >= self._words_max:
                    raise HandsFull(str(self.path), len(words))
                replace_durably(self.path, b"".join(map(_line, words)))
            self._append(_line(word))

    def _append(self, line: bytes) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            data = file.read(BYTES_MAX)
            file.seek(len(_whole(data)))
            file.truncate()
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        if not data:
            sync_directory(self.path.parent)


def _whole(data: bytes) -> bytes:
    """Up to the last line that ends."""
    return data[: data.rfind(b"\n") + 1]


def _line(word: Word) -> bytes:
    return msgspec.json.encode(word) + b"\n"
