"""Where baselines come from: the local registry, by digest, kept while the monitor runs.

Laws
- A version whose artefact is missing or damaged is counted without a baseline, and looked for again every RETRY_S.
- A version that was made without training data has no baseline and never will: it is not looked for again.
"""

from collections.abc import Callable, Mapping, Sequence
from time import monotonic

import structlog

from models.baseline import Baseline
from models.contract import Contract
from models.errors import ModelError
from models.manifest import BASELINE, CONTRACT
from models.registry import Registry
from monitoring.reference import Reference
from service.featurelog.record import Schema

RETRY_S = 30.0  # a version is synced once; a registry on a slow disk must not be asked at every tick


class References:
    """Reads baselines for the fold; not thread-safe."""

    def __init__(
        self,
        registry: Registry,
        clock: Callable[[], float] = monotonic,
        *,
        segments: Mapping[str, Sequence[str]] | None = None,
        segments_max: int = 0,
    ) -> None:
        self._registry, self._clock = registry, clock
        self._segments, self._segments_max = segments or {}, segments_max
        self._known: dict[str, Reference] = {}
        self._retry_at_s: dict[str, float] = {}

    @property
    def known(self) -> Mapping[str, Reference]:
        """What was learnt so far, by digest."""
        return self._known

    def learn(self, schemas: Mapping[str, Schema]) -> Mapping[str, Reference]:
        """The references of these versions, by digest."""
        for digest, schema in schemas.items():
            if digest not in self._known or self._retry_at_s.get(digest, float("inf")) <= self._clock():
                self._known[digest] = self._reference(digest, schema)
        return self._known

    def forget(self, alive: set[str]) -> None:
        """Drops the references of versions that are no longer counted."""
        for digest in [digest for digest in self._known if digest not in alive]:
            del self._known[digest]
            self._retry_at_s.pop(digest, None)

    def _reference(self, digest: str, schema: Schema) -> Reference:
        declared = self._segments.get(schema.model, ())
        baseline, label = self._artefact(digest, schema)
        reference = Reference.of(schema, baseline, declared, self._segments_max, label)
        if digest not in self._known:
            for refused in reference.segments.refused:
                ref = f"{schema.model}:{schema.version}"
                structlog.get_logger().warning(
                    "segment_refused", ref=ref, declared=refused.declared, reason=refused.reason
                )
        return reference

    def _artefact(self, digest: str, schema: Schema) -> tuple[Baseline | None, str | None]:
        """The baseline, and the name of the label."""
        ref = f"{schema.model}:{schema.version}"
        try:
            files = self._registry.read_files(digest, ref)
            self._retry_at_s.pop(digest, None)
            label = Contract.decode(files[CONTRACT]).label if CONTRACT in files else None
            return Baseline.decode(files[BASELINE]) if BASELINE in files else None, label
        except (ModelError, OSError) as error:
            self._retry_at_s[digest] = self._clock() + RETRY_S
            structlog.get_logger().warning("baseline_missing", ref=ref, digest=digest, reason=str(error))
            return None, None
