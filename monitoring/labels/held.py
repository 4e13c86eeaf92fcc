"""How does the monitor's state hold labels to its rules? The one seam between the fold and the labels' book.

Law: nothing here decides; it says what is asked of whom, and passes on.
"""

from collections.abc import Iterable, Mapping, Sequence

from monitoring.budget import Part
from monitoring.labels.ask import Ask, ask_of
from monitoring.labels.book import Book, Subject
from monitoring.labels.findings import findings_of
from monitoring.labels.said import LabelsSaid, said
from monitoring.labels.track import LabelRules
from monitoring.reference import Reference
from monitoring.rules import Rules
from monitoring.verdict import Finding
from service.featurelog.record import Feedback, Request

References = Mapping[str, Reference]


def take(
    book: Book,
    minute: int,
    requests: Iterable[tuple[tuple[str, str, str], Sequence[Request]]],
    labels: Sequence[Feedback],
    rules: Rules,
    references: References,
) -> None:
    """Records of an open minute: requests by version, and labels."""
    by_version: dict[Subject, list[Request]] = {}
    asks: dict[Subject, Ask] = {}
    for version, some in requests:
        subject, reference = Subject(*version), references.get(version[2])
        if reference is None:
            continue
        ask = asks.get(subject) or ask_of(reference, rules.label_tasks.get(subject.model))
        if isinstance(ask, Ask):
            asks[subject] = ask
            by_version.setdefault(subject, []).extend(some)
    book.take(minute, by_version, labels, asks)


def close(book: Book, minute: int, rules: Rules) -> set[Subject]:
    """Closes a minute; the versions about which labels said something."""
    return book.close(minute, rules_of(book, rules))


def changes(book: Book, rules: Rules) -> Iterable[int]:
    """The minutes whose closing changes something."""
    return book.changes(rules_of(book, rules))


def findings(book: Book, version: tuple[str, str, str], rules: Rules, reference: Reference) -> tuple[Finding, ...]:
    """What labels say of a version; nothing where they are not looked at. A version whose artefact cannot be read now is asked
    what it was asked."""
    track = book.tracks.get(Subject(*version))
    asked = isinstance(ask_of(reference, rules.label_tasks.get(version[0])), Ask) or not reference.judged
    return findings_of(track, rules_of(book, rules)[version[0]], rules.n_min) if track is not None and asked else ()


def labels_said(
    book: Book, closed: int, versions: Iterable[tuple[str, str, str]], rules: Rules, references: References
) -> LabelsSaid:
    """What is told of labels; `versions`: those that traffic came for."""
    counted = {Subject(*version): references[version[2]] for version in versions if version[2] in references}
    return said(book, closed, rules_of(book, rules), counted, rules.label_tasks, rules.n_min)


def rules_of(book: Book, rules: Rules) -> dict[str, LabelRules]:
    """By model: the versions of one share what it may alarm for nothing."""
    versions: dict[str, int] = {}
    for subject in book.tracks:
        versions[subject.model] = versions.get(subject.model, 0) + 1
    return {
        model: LabelRules(
            rows_max=rules.label_rows_max,
            wait_s=rules.label_wait_s,
            mature_s=rules.label_mature_s,
            tolerance=rules.loss_tolerance,
            alpha=rules.budget_alarms_per_30_days * Part.LABELS.value / n,
        )
        for model, n in versions.items()
    }
