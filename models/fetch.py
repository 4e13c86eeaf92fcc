"""From a source to the local registry: resolve, fetch, complete, verify, install.

Laws
- Nothing is installed that is not what the pin says, or not signed where signatures are asked for.
- A version that is here and intact is served without asking its source: a registry that is down stops nobody.
- A source without a contract gets the one that the graph itself declares; the same graph gets the same one everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from models.declared import contract_of_graph
from models.errors import ArtifactMismatch, SourceUnknown
from models.inspect import inspect
from models.lock import Pin
from models.manifest import CONTRACT, MODEL, Manifest
from models.registry import Registry
from models.session import Session
from models.sources.offer import Source
from models.trials import Trials


@dataclass(frozen=True, slots=True)
class Taken:
    """A version that came from a source: its digest and the source without a moving name."""

    digest: str
    source: str


class Fetcher:
    """Fills a registry from sources, by their schemes; blocking."""

    def __init__(self, registry: Registry, sources: Mapping[str, Source], *, trials: Trials | None = None) -> None:
        """Without `trials` a graph is only inspected before it is asked for its contract."""
        self._registry, self._sources, self._trials = registry, sources, trials

    def take(self, source: str, *, ref: str) -> Taken:
        """Resolves a source and installs what it offers now. Raises ModelError; then nothing was installed."""
        concrete = self._source(source).resolve(source)
        offer = self._source(concrete).fetch(concrete, ref=ref)
        files = complete(offer.files, ref, self._trials)
        self._registry.check(files, offer.signature, ref)
        if self._trials is None:
            inspect(files[MODEL], ref)
        else:
            self._trials.admit(Manifest.of(files).digest, ref, files)
        return Taken(self._registry.install(files, offer.signature), concrete)

    def sync(self, pin: Pin) -> bool:
        """Makes a pinned version present and verified; returns whether it had to be fetched.

        A local copy that is damaged is fetched again; when the source has other bytes than the pin, nothing is installed.
        Raises ModelError.
        """
        if self._registry.intact(pin.digest):
            return False
        offer = self._source(pin.source).fetch(pin.source, ref=pin.ref)
        files = complete(offer.files, pin.ref, self._trials)
        offered = Manifest.of(files).digest
        if offered != pin.digest:
            raise ArtifactMismatch(pin.ref, offered.removeprefix("sha256:"), pin.digest.removeprefix("sha256:"))
        self._registry.check(files, offer.signature, pin.ref)
        self._registry.install(files, offer.signature)
        return True

    def _source(self, source: str) -> Source:
        scheme = source.partition(":")[0]
        if scheme not in self._sources:
            raise SourceUnknown(source, ", ".join(f"{known}:" for known in self._sources))
        return self._sources[scheme]


def complete(files: Mapping[str, bytes], ref: str, trials: Trials | None = None) -> Mapping[str, bytes]:
    """With the contract that the graph declares where there is none. Raises ArtifactRefused."""
    if CONTRACT in files:
        return files
    if trials is None:
        inspect(files[MODEL], ref)
    else:  # inspects in the process of the trial: nothing of it is parsed here before
        trials.attempt(ref, {MODEL: files[MODEL]})
    return {**files, CONTRACT: contract_of_graph(Session(files[MODEL], ref=ref)).encode()}
