"""Which 64 bits stand for a row of a request, so that its label finds it and a sample of rows can be chosen by them?

Laws
- A key follows from the request id and the row alone: whoever reads the log, in whatever order and company, finds the same.
- Keys lie evenly, so the rows with the lowest keys are a fair sample; two rows share one by chance alone (2⁻⁶⁴ a pair).

The mixing is that of splitmix64 (Steele, Lea and Flood 2014), over the id's bytes eight at a time: twenty times as fast as a
cryptographic hash a request. A client who chooses ids could choose which of its own rows are looked at, and nothing else.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

WORD_BYTES = 8
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)

Keys = npt.NDArray[np.uint64]


def request_keys(request_ids: Sequence[str]) -> Keys:
    """A key for each request; shape (n,)."""
    if not request_ids:
        return np.zeros(0, dtype=np.uint64)
    texts = _texts(request_ids)
    words = -(-texts.dtype.itemsize // WORD_BYTES)
    padded = texts.astype(f"S{words * WORD_BYTES}").view("<u8").reshape(len(texts), words)
    keys = np.full(len(texts), _GOLDEN)
    for place in range(words):
        word = padded[:, place]  # all zero: behind the end of this id, which must not show
        keys = np.where(word > 0, _mixed(keys ^ word ^ np.uint64(place)), keys)
    return keys


def row_keys(requests: Keys, rows: npt.NDArray[np.int64]) -> Keys:
    """A key for each row, from its request's; shapes (n,)."""
    with np.errstate(over="ignore"):
        return _mixed(requests + rows.astype(np.uint64) * _SECOND)  # a stream of splitmix64 for each request


def _texts(request_ids: Sequence[str]) -> npt.NDArray[np.bytes_]:
    try:
        return np.array(request_ids, dtype=np.bytes_)
    except UnicodeEncodeError:
        return np.array([one.encode() for one in request_ids], dtype=np.bytes_)


def _mixed(keys: Keys) -> Keys:
    with np.errstate(over="ignore"):  # modulo 2⁶⁴ is meant
        keys = keys + _GOLDEN
        keys = (keys ^ (keys >> np.uint64(30))) * _FIRST
        keys = (keys ^ (keys >> np.uint64(27))) * _SECOND
        mixed: Keys = keys ^ (keys >> np.uint64(31))
    return mixed
