"""Errors of a change of the routes, by who must act; `errors.py` says what they have in common."""

from collections.abc import Mapping, Sequence

from service.errors import FAULTS_MAX, Failed, Fault, Rejected, RoutesInvalid

_WORKERS_TOLD = 3  # in the sentence; the details have more


class RoutesOutdated(RoutesInvalid):
    """Somebody else changed the routes first."""

    def __init__(self, present: int, expected: int) -> None:
        super().__init__("generation", str(present), f"{expected}, from which the change was made")
        self.present, self.from_generation = present, expected


class RoutesUnchanged(RoutesInvalid):
    """The routes are already what they are asked to be."""


class RoutesUnreadable(RoutesInvalid):
    """The document on disk cannot be read whole."""


class RoutesRefused(Rejected):
    """A change of the routes that cannot be made: it contradicts the routes, or names what is not pinned."""

    code = "routes_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class RoutesConflict(Rejected):
    """The routes have changed since they were read; the change is to be made again from the present generation."""

    code = "routes_conflict"

    def __init__(self, present: int, expected: int) -> None:
        super().__init__(present, expected)
        self.present, self.expected = present, expected

    def __str__(self) -> str:
        return f"generation: found {self.present}, expected {self.expected} as in the request; nothing was changed"


class VersionsNotLoaded(Failed):
    """A share would rise, and not all workers have loaded its version."""

    code = "versions_not_loaded"
    retry_after_s = 5

    def __init__(self, behind: Mapping[str, Sequence[str]], waited_s: float, reasons: Mapping[str, str]) -> None:
        """`behind`: worker → versions that it has not loaded; `reasons`: version → why not, where that is known."""
        super().__init__(behind, waited_s, reasons)
        self.behind, self.waited_s, self.reasons = behind, waited_s, reasons

    @property
    def details(self) -> Sequence[Fault]:
        told = [Fault(worker, f"has not loaded {', '.join(refs)}") for worker, refs in self.behind.items()]
        return told[:FAULTS_MAX]

    def __str__(self) -> str:
        first = "; ".join(f"{fault.at} {fault.problem}" for fault in self.details[:_WORKERS_TOLD])
        more = f" and {len(self.behind) - _WORKERS_TOLD} more" if len(self.behind) > _WORKERS_TOLD else ""
        why = "".join(f"; {ref}: {reason}" for ref, reason in list(self.reasons.items())[:1])
        return (
            f"workers: after {self.waited_s:g} s {first}{more}{why}; the routes stay as they were, no share was raised"
        )


class RoutesUnavailable(Failed):
    """The routes or their audit log cannot be read or written, so no change is made."""

    code = "routes_unavailable"
    retry_after_s = 5

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"routes: cannot be read or changed: {self.reason}; what is served stays as it is"
