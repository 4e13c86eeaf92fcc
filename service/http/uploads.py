"""How many bytes of bodies are being read at once, in one worker?

Law: those that come in more than one piece hold together no more than `bytes_max`, but for one that is alone and says its
length; whoever would exceed that is refused before the rest of it is read.
"""

from service.errors import Overloaded


class Uploads:
    """The account; used from one event loop."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self.bytes = 0

    def begin(self, expected: int) -> int:
        """Makes room for a body, or for its next piece; returns what `end` takes back. Raises Overloaded."""
        if self.bytes and self.bytes + expected > self._bytes_max:
            raise Overloaded(self.bytes, self._bytes_max, "bytes of bodies")
        self.bytes += expected
        return expected

    def end(self, held: int) -> None:
        """They are read, or given up."""
        self.bytes -= held
