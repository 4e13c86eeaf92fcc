"""What an erasure leaves as its proof: `<home>/receipts/<time>-<id>.json`, which never holds what was searched for.

Laws
- It says `begun` on disk before anything is changed, with every file that will be; `done` when all of them are.
- An erasure that was cut short is finished by the same command: it takes up the receipt of the same clause that has only begun.
"""

import hmac
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import msgspec

from models.durable import replace_durably
from models.errors import UNDECODABLE

FORMAT = 1
BEGUN, DONE, INCOMPLETE = "begun", "done", "incomplete"


class Changed(msgspec.Struct, frozen=True):
    """A file by its sha256; `after` is None until it is done, and "" where the file is gone."""

    before: str
    after: str | None = None


class Receipt(msgspec.Struct, frozen=True):
    """One erasure. `clause` is the HMAC of the model and the where clause under the deployment's key."""

    id: str
    at: str
    by: str
    clause: str
    state: str = BEGUN
    format: int = FORMAT
    counts: Mapping[str, int] = {}
    files: Mapping[str, Changed] = {}
    missed: tuple[str, ...] = ()
    remains: tuple[str, ...] = ()
    unread_frames: int = 0
    finished_at: str | None = None

    def encode(self) -> bytes:
        """Indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self, order="deterministic"), indent=1) + b"\n"


def clause_mark(key: bytes, model: str | None, where: str) -> str:
    """By which two runs of the same command know each other, and an auditor who has the key the command."""
    return hmac.digest(key, f"{model or ''}\0{where}".encode(), "sha256").hex()


def sha256_of(path: Path) -> str:
    """ "" where the file is not there."""
    digest = sha256()
    try:
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
    except FileNotFoundError:
        return ""
    return digest.hexdigest()


class Receipts:
    """The receipts of a home."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def place(self, receipt: Receipt) -> Path:
        """The name sorts by time."""
        return self.root / f"{receipt.at.replace(':', '').replace('+0000', 'Z')}-{receipt.id}.json"

    def save(self, receipt: Receipt) -> Path:
        """Durably, in one step."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o750)
        replace_durably(self.place(receipt), receipt.encode())
        return self.place(receipt)

    def begun(self, clause: str) -> Receipt | None:
        """The receipt of this clause that is not done."""
        for path in sorted(self.root.glob("*.json")):
            try:
                found = msgspec.json.decode(path.read_bytes(), type=Receipt)
            except UNDECODABLE:
                continue  # not ours
            if found.clause == clause and found.state != DONE:
                return found
        return None
