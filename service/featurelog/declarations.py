"""Which schemas does this epoch know, and under which ids? A segment declares each before the first record that uses it."""

import msgspec

from service.featurelog.framing import frame
from service.featurelog.record import Schema, encode


class Declarations:
    """The schemas of one epoch, in the order in which they were first used."""

    def __init__(self) -> None:
        self._schemas: list[Schema] = []
        self._ids: dict[tuple[str, str, str], int] = {}

    def id_of(self, schema: Schema) -> int:
        """The id of the version; a new one the first time."""
        known = self._ids.get(_key(schema))
        if known is None:
            known = self._ids[_key(schema)] = len(self._schemas)
            self._schemas.append(msgspec.structs.replace(schema, id=known))
        return known

    def of(self, schema: Schema) -> Schema | None:
        """As `id_of` made it known; from any thread."""
        known = self._ids.get(_key(schema))
        return None if known is None else msgspec.structs.replace(schema, id=known)

    def frames(self, declared: int, seq: int) -> list[bytes]:
        """Those that a segment which has so many still lacks, before the record `seq`."""
        if declared == len(self._schemas):
            return []
        return [frame(encode(schema), seq) for schema in self._schemas[declared:]]


def _key(schema: Schema) -> tuple[str, str, str]:
    return schema.model, schema.version, schema.digest
