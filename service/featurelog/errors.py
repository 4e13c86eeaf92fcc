"""Errors of the feature log, by who must act."""


class FeatureLogError(Exception):
    """The log cannot be written or read."""


class RecordInvalid(FeatureLogError):
    """A frame checks but its payload is not of this format: written by a newer version, or by a bug."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found

    def __str__(self) -> str:
        return f"payload: {self.found}, expected a payload of format 1; the record is reported and skipped"


class DirectoryBusy(FeatureLogError):
    """Another live writer holds this directory."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place

    def __str__(self) -> str:
        return f"{self.place}: locked by a live writer, expected a free directory; nothing was written"


class LogUnwritable(FeatureLogError):
    """The operating system refused the bytes: disk full, input/output error, permissions. An operator must act."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(place, reason)
        self.place, self.reason = place, reason

    def __str__(self) -> str:
        return f"{self.place}: cannot be written ({self.reason}); the loss is counted as log_dropped"


class ManifestInvalid(FeatureLogError):
    """The archive's manifest cannot be understood: written by a newer version, or by hand."""

    def __init__(self, place: str, found: str, expected: str) -> None:
        super().__init__(place, found, expected)
        self.place, self.found, self.expected = place, found, expected

    def __str__(self) -> str:
        return f"{self.place}: {self.found}, expected {self.expected}; nothing was archived and nothing was let go"


class PassRunning(FeatureLogError):
    """Another pass is at work in this archive."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place

    def __str__(self) -> str:
        return f"{self.place}: another pass is at work, expected one at a time; nothing was done"


class ArchiveDamaged(FeatureLogError):
    """A file of the archive is not what the manifest says."""

    def __init__(self, place: str, found: str, expected: str) -> None:
        super().__init__(place, found, expected)
        self.place, self.found, self.expected = place, found, expected

    def __str__(self) -> str:
        return f"{self.place}: {self.found}, expected {self.expected}; it was left as it is"


class ArchiveBusy(FeatureLogError):
    """The archive changed under the reader each time it was read."""

    def __init__(self, place: str, tries: int) -> None:
        super().__init__(place, tries)
        self.place, self.tries = place, tries

    def __str__(self) -> str:
        return f"{self.place}: changed {self.tries} times while it was read, expected a pass a minute; ask again"


class SealedFileMissing(FeatureLogError):
    """The archive's manifest names a file that is not there: rows are gone."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place

    def __str__(self) -> str:
        return f"{self.place}: not found, expected because the archive's manifest names it; nothing was read"


class HotTooLarge(FeatureLogError):
    """More of the log waits for the archiver than a query may copy."""

    def __init__(self, place: str, found_bytes: int, most_bytes: int) -> None:
        super().__init__(place, found_bytes, most_bytes)
        self.place, self.found_bytes, self.most_bytes = place, found_bytes, most_bytes

    def __str__(self) -> str:
        return (
            f"{self.place}: {self.found_bytes} bytes are not in the archive yet, expected at most {self.most_bytes}; "
            "nothing was read, run `plumbline log archive` first"
        )


class KeyInvalid(FeatureLogError):
    """The key under which personal values are hashed cannot be used. An operator must put it in its place."""

    def __init__(self, place: str, found: str) -> None:
        super().__init__(place, found)
        self.place, self.found = place, found

    def __str__(self) -> str:
        return f"{self.place}: found {self.found}, expected a file of at least 16 bytes with the privacy key; nothing is served"


class WhereInvalid(FeatureLogError):
    """The clause that says which rows are meant cannot be answered. Who wrote it must mend it."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(found, expected)
        self.found, self.expected = found, expected

    def __str__(self) -> str:
        return f"--where: found {self.found}, expected {self.expected}; nothing was changed"


class ErasureImpossible(FeatureLogError):
    """What marks the erased rows is longer than what they leave: a row of one 32-bit number far behind in a request."""

    def __init__(self, seq: int, size: int, needed: int) -> None:
        super().__init__(seq, size, needed)
        self.seq, self.size, self.needed = seq, size, needed

    def __str__(self) -> str:
        return f"record {self.seq}: {self.size} bytes, expected room for {self.needed}; its rows are not erased"


class ErasureBusy(FeatureLogError):
    """Another erasure, or a pass of the archive, is at work."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place

    def __str__(self) -> str:
        return f"{self.place}: held by another erasure or a pass of the archive; nothing was changed, try again"
