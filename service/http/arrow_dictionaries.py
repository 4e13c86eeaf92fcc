"""What do the columns of a stream stand for that name their texts by number?

A stream sends a dictionary once and may name its words in each of a thousand batches; pyarrow gives each batch all of it.

Laws
- A dictionary is validated once, and of its words only those are read that a row names, each once: the work is in the rows and
  in the bytes of the stream, never in their product.
- Not more characters than `max_chars` are handed out, each counted as often as it is named: the log and the graph hold them so.
"""

from typing import Any

import pyarrow as pa

from service.errors import BodyTooLarge


class Words(dict[int, str | None]):
    """The words of one dictionary by their numbers, as far as they were named."""

    def __init__(self, dictionary: pa.Array) -> None:
        super().__init__()
        dictionary.validate(full=True)
        self._dictionary = dictionary

    def __missing__(self, number: int) -> str | None:
        if not 0 <= number < len(self._dictionary):
            raise ValueError(f"word {number} of a dictionary of {len(self._dictionary)}")
        word: str | None = self._dictionary[number].as_py()
        self[number] = word
        return word


class Dictionaries:
    """Of one stream; alive while its table is, so that no two of them have the same place in memory."""

    def __init__(self, max_chars: int) -> None:
        self._max_chars, self._chars = max_chars, 0
        self.known: dict[tuple[int, ...], Words] = {}

    def texts(self, column: pa.ChunkedArray) -> list[Any]:
        """Each text held once, None for a null. Raises BodyTooLarge; ValueError for a number that names no word."""
        texts: list[Any] = []
        for chunk in column.chunks:
            words = self._words(chunk.dictionary)
            found = [None if number is None else words[number] for number in chunk.indices.to_pylist()]
            self._chars += sum(len(text) for text in found if text is not None)
            if self._chars > self._max_chars:
                raise BodyTooLarge(self._max_chars)
            texts += found
        return texts

    def _words(self, dictionary: pa.Array) -> Words:
        buffers = (0 if buffer is None else buffer.address for buffer in dictionary.buffers())
        place = (len(dictionary), dictionary.offset, *buffers)
        words = self.known.get(place)
        if words is None:
            words = self.known[place] = Words(dictionary)
        return words
