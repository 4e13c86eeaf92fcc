"""Errors of the models package, by who must act.

`args` are the fields; `str()` is the sentence: what, found, expected, consequence.
"""

from enum import StrEnum

import msgspec

# Of bytes that are no such document. Of text that is no UTF-8, and of what is nested too deep, msgspec lets Python's own out.
UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class ModelError(Exception):
    """A model version cannot be used."""


class ContractInvalid(ModelError):
    """The contract, baseline or training data contradicts itself. Who made the version must mend it."""

    def __init__(self, where: str, found: str, expected: str) -> None:
        super().__init__(where, found, expected)
        self.where, self.found, self.expected = where, found, expected

    def __str__(self) -> str:
        return f"{self.where}: found {self.found}, expected {self.expected}; the version is not accepted"


class ArtifactMismatch(ModelError):
    """The bytes in the registry are not the bytes the lock pins. An operator must find out who changed them."""

    def __init__(self, ref: str, actual: str, expected: str) -> None:
        super().__init__(ref, actual, expected)
        self.ref, self.actual, self.expected = ref, actual, expected

    def __str__(self) -> str:
        return (
            f"{self.ref}: artefact is sha256:{self.actual[:12]}, lock pins sha256:{self.expected[:12]}; not loading it"
        )


class ArtifactMissing(ModelError):
    """A pinned version is not in the local registry (`plumbline models sync` fetches it), or what else is `expected`."""

    def __init__(
        self, ref: str, place: str, expected: str = "the pinned artefact; run `plumbline models sync`"
    ) -> None:
        super().__init__(ref, place, expected)
        self.ref, self.place, self.expected = ref, place, expected

    def __str__(self) -> str:
        return f"{self.ref}: not found at {self.place}, expected {self.expected}"


class Reason(StrEnum):
    """Why a version is refused, as counters name it."""

    INSPECTION = "inspection"  # the graph, the contract or the baseline, before anything ran
    LOAD = "load"  # the runtime does not accept the graph, or it is not the contract's
    RUN = "run"  # it fails on rows of its own baseline
    ROWS = "rows"  # other rows or columns come out than the contract says
    NAN = "nan"  # an output without one number
    MEMORY = "memory"
    TIME = "time"
    CRASH = "crash"
    INTERRUPTED = "interrupted"  # somebody ended its trial: nothing is known of it


class ArtifactRefused(ModelError):
    """Inspection or the trial said no: serving it could read files, run foreign code, exhaust the machine or answer nothing."""

    def __init__(self, where: str, found: str, expected: str, reason: Reason = Reason.INSPECTION) -> None:
        super().__init__(where, found, expected)
        self.where, self.found, self.expected, self.reason = where, found, expected, reason

    def __str__(self) -> str:
        return f"{self.where}: found {self.found}, expected {self.expected}; not loading it"


class LoadFailed(ModelError):
    """Loading it ended in an error that nobody foresaw: a defect of ours, of which only the type is told and kept."""

    def __init__(self, ref: str, kind: str) -> None:
        super().__init__(ref, kind)
        self.ref, self.kind = ref, kind

    def __str__(self) -> str:
        return f"{self.ref}: loading it ended in {self.kind}, which nobody foresaw; not loading it, the log says where"


class LockInvalid(ModelError):
    """The lock file cannot be read as pins. Who edited it must mend it."""

    def __init__(self, place: str, found: str, expected: str) -> None:
        super().__init__(place, found, expected)
        self.place, self.found, self.expected = place, found, expected

    def __str__(self) -> str:
        return f"{self.place}: found {self.found}, expected {self.expected}; no pin was changed"


class PinConflict(ModelError):
    """A version name is already pinned to other bytes. Versions never change: take a new version name."""

    def __init__(self, ref: str, pinned: str, offered: str) -> None:
        super().__init__(ref, pinned, offered)
        self.ref, self.pinned, self.offered = ref, pinned, offered

    def __str__(self) -> str:
        return (
            f"{self.ref}: already pinned to {self.pinned[:19]}, offered {self.offered[:19]}; "
            "a version never changes its bytes, add it under a new version"
        )


class SourceUnknown(ModelError):
    """A pin names a source that this build cannot fetch from."""

    def __init__(self, source: str, known: str) -> None:
        super().__init__(source, known)
        self.source, self.known = source, known

    def __str__(self) -> str:
        return f"source {self.source!r}: unknown scheme, expected one of {self.known}; nothing was fetched"


class SourceInvalid(ModelError):
    """The words after a source's scheme name nothing that could be fetched. Who wrote them must mend them."""

    def __init__(self, source: str, found: str, expected: str) -> None:
        super().__init__(source, found, expected)
        self.source, self.found, self.expected = source, found, expected

    def __str__(self) -> str:
        return f"source {self.source!r}: found {self.found}, expected {self.expected}; nothing was fetched"


class SourceUnavailable(ModelError):
    """A source did not answer, or refused to. What is in the local registry serves on; try again."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, reason)
        self.source, self.reason = source, reason

    def __str__(self) -> str:
        return f"source {self.source!r}: {self.reason}; nothing was installed, versions that are here serve on"


class CredentialsInvalid(ModelError):
    """What `sources_auth` or its file holds cannot be read as credentials. Never shows what it found there."""

    def __init__(self, place: str, problem: str, expected: str) -> None:
        super().__init__(place, problem, expected)
        self.place, self.problem, self.expected = place, problem, expected

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}, expected {self.expected}; nothing was fetched"


class SignatureRefused(ModelError):
    """A version is not signed by a key that is trusted. An operator must find out who made it, or sign it."""

    def __init__(self, ref: str, found: str, expected: str) -> None:
        super().__init__(ref, found, expected)
        self.ref, self.found, self.expected = ref, found, expected

    def __str__(self) -> str:
        return f"{self.ref}: found {self.found}, expected {self.expected}; not loading it"


class SigningUnavailable(ModelError):
    """Signatures are asked for and cannot be made or checked here: no package, or a key file that is none."""

    def __init__(self, what: str, found: str, expected: str) -> None:
        super().__init__(what, found, expected)
        self.what, self.found, self.expected = what, found, expected

    def __str__(self) -> str:
        return f"{self.what}: found {self.found}, expected {self.expected}; nothing was signed or checked"


class RunFailed(ModelError):
    """The runtime refused these inputs or failed while computing."""

    def __init__(self, ref: str, reason: str) -> None:
        super().__init__(ref, reason)
        self.ref, self.reason = ref, reason

    def __str__(self) -> str:
        return f"{self.ref}: the runtime failed: {self.reason}; no answer was computed"
