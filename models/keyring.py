"""Which keys hold now? Those of the file, followed; where it cannot be read, those that it last gave.

Laws
- Until the file was read once there are no keys, which is not the same as a file without keys: `ring` is None.
- A file that is gone is a file without keys, from the second look on: an editor may put another in its place.
"""

from models.durable import Stamp, stamp
from models.key_errors import KeysInvalid
from models.key_file import KeyFile
from models.keys import Keys, Ring

_ABSENT: Stamp = (0, 0, 0)


class Keyring:
    """The keys in force in this process; `problem` says what is wrong with their file, "" where nothing is."""

    def __init__(self, file: KeyFile) -> None:
        self._file = file
        self._seen: Stamp | None = None
        self._missed = False
        self.ring: Ring | None = None
        self.problem = ""

    def changed(self) -> bool:
        """Whether there is something to read; some µs."""
        now = stamp(self._file.path)
        if now == self._seen:
            self._missed = False
            return False
        if now == _ABSENT and self._seen is not None and not self._missed:
            self._missed = True
            return False
        return True

    def read(self) -> None:
        """Takes what the file says; the keys stay as they are where it cannot be read. Blocks for a disk."""
        seen = stamp(self._file.path)
        self._missed = False
        try:
            keys = self._file.read()
        except KeysInvalid as error:
            self.problem, self._seen = f"API keys: {error}", seen
        except OSError as error:
            self.problem, self._seen = f"API keys: {self._file.path}: {error.strerror}", None  # it is tried again
        else:
            self.ring, self.problem, self._seen = Ring(keys), self._told(keys), seen

    def _told(self, keys: Keys) -> str:
        return "" if keys.keys else "API keys: there are none, so nobody may ask; `plumbline keys add` makes one"
