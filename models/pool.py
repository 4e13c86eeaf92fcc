"""Loaded versions: load and warm before anything may route to them, drain before they are freed.

Laws
- A version is in the pool only after its bytes matched the pin, passed inspection and trial, loaded, and answered a warm-up run
  (a graph with free dimensions beside the batch may refuse the sizes invented for them).
- A version in use is never freed: whoever runs in it holds it, and it goes with the last of them.
"""

import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.agreement import agree
from models.contract import Contract, Tensor
from models.durable import Stamp, stamp
from models.errors import ModelError, RunFailed
from models.inspect import inspect
from models.lock import Pin
from models.manifest import CONTRACT, MODEL
from models.registry import Registry
from models.session import Session
from models.tensors import DTYPES, Array
from models.trials import Trials
from models.verdict import Refusal

WARM_RUNS = 20  # the runtime allocates its arenas in the first few
_EMPTY_DIMENSION = 1  # size given to a free dimension in a warm-up run


@dataclass(frozen=True, slots=True, eq=False)
class LoadedVersion:
    """A version that answers: its pin, contract and session."""

    pin: Pin
    contract: Contract
    session: Session


class Pool:
    """The versions that this process has loaded, by digest."""

    def __init__(self, registry: Registry, *, threads: int, trials: Trials | None = None) -> None:
        """Without `trials` a version is inspected here, and its first run is here too."""
        self._registry, self._threads, self._trials = registry, threads, trials
        self._loaded: dict[str, LoadedVersion] = {}
        self._costs: dict[str, int] = {}
        self.failures: dict[str, ModelError] = {}

    def holds(self, digest: str) -> bool:
        """Is it loaded, so that `load` answers at once?"""
        return digest in self._loaded

    def load(self, pin: Pin) -> LoadedVersion:
        """Verified, inspected, loaded, warmed; blocking, so call it in a thread. Raises the ModelError that forbids it."""
        if (known := self._loaded.get(pin.digest)) is not None:
            return known if known.pin == pin else replace(known, pin=pin)  # the same bytes under another name
        try:
            version = self._load(pin)
        except ModelError as error:
            self.failures[pin.ref] = error
            raise
        self.failures.pop(pin.ref, None)
        return self._loaded.setdefault(pin.digest, version)

    def cost_bytes(self, digest: str) -> int:
        """What a version takes in memory: as measured when it was loaded here the last time, else the size of its files.

        Measured is the larger of the files and of what this process grew by, to which others add and from which they take.
        """
        if (known := self._costs.get(digest)) is not None:
            return known
        place = self._registry.place(digest)
        return sum(file.stat().st_size for file in place.iterdir()) if place.is_dir() else 0

    def rehearse(self, pin: Pin, requests: Sequence[Mapping[str, Array]]) -> Refusal | None:
        """What came of running these in a process of its own; blocking. None too where there are no trials."""
        if self._trials is None:
            return None
        files = self._registry.read_files(pin.digest, pin.ref)
        return self._trials.rehearse(pin.digest, pin.ref, {MODEL: files[MODEL]}, requests)

    def forget(self, digest: str) -> None:
        """It is not to be served after all."""
        self._loaded.pop(digest, None)

    def _load(self, pin: Pin) -> LoadedVersion:
        before = _resident_bytes()
        files = self._admitted(pin)
        size = sum(map(len, files.values()))
        contract = Contract.decode(files[CONTRACT])
        session = Session(files[MODEL], ref=pin.ref, threads=self._threads)
        del files
        agree(session, contract, pin.ref)
        sample = {tensor.name: _sample(tensor) for tensor in contract.inputs}
        try:
            for _ in range(WARM_RUNS):
                session.run(sample)
        except RunFailed:
            if not any(-1 in tensor.shape[1:] for tensor in contract.inputs):
                raise
        self._costs[pin.digest] = max(size, _resident_bytes() - before)
        return LoadedVersion(pin, contract, session)

    def _admitted(self, pin: Pin) -> dict[str, bytes]:
        """The files of a version that was inspected and tried: the very bytes that were hashed."""
        if self._trials is None:
            files = self._registry.read_files(pin.digest, pin.ref)
            inspect(files[MODEL], pin.ref)
            return files
        self._trials.refuse_known(pin.digest, pin.ref)
        files = self._registry.read_files(pin.digest, pin.ref)
        self._trials.admit(pin.digest, pin.ref, files)
        return files

    def stamp(self) -> Stamp:
        """Changes when the registry gets a version: one that could not be loaded may be there now."""
        return stamp(self._registry.root)

    def digests(self) -> frozenset[str]:
        """Of all that is loaded."""
        return frozenset(self._loaded)

    def retain(self, digests: frozenset[str]) -> frozenset[str]:
        """Forgets every other version, and says which; requests that still run in one keep it alive until they end."""
        dropped = frozenset(self._loaded.keys() - digests)
        for digest in dropped:
            del self._loaded[digest]
        return dropped


def _resident_bytes() -> int:
    """Of this process; 0 where the kernel does not say."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return 0


def _sample(tensor: Tensor) -> Array:
    shape = tuple(_EMPTY_DIMENSION if size < 0 else size for size in tensor.shape)
    if tensor.datatype == "BYTES":
        return np.full(shape, "", dtype=object)
    return np.zeros(shape, dtype=DTYPES[tensor.datatype])
