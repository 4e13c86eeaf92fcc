"""The lock on disk: read it, pin in it."""

from pathlib import Path

from models.durable import exclusively, replace_durably
from models.errors import LockInvalid
from models.lock import Lock, Pin


class LockFile:
    """`models.lock.toml` of a home; an absent file is a lock without pins."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Lock:
        """Raises LockInvalid."""
        if not self.path.is_file():
            return Lock()
        try:
            return Lock.decode(self.path.read_text(encoding="utf-8"), str(self.path))
        except (UnicodeDecodeError, RecursionError) as error:
            raise LockInvalid(str(self.path), str(error), "UTF-8 text of [[model]] tables") from error

    def pin(self, *pins: Pin) -> Lock:
        """Adds pins atomically. Raises PinConflict, LockInvalid; then nothing was changed."""
        with exclusively(self.path):
            lock = self.read()
            for pin in pins:
                lock = lock.with_pin(pin)
            replace_durably(self.path, lock.encode().encode())
        return lock
