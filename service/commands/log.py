"""`plumbline log …`: what the service wrote down; one file a subcommand."""

import click

from service.commands.lazy import LazyGroup

MEMBERS = {
    "tail": ("service.commands.log_tail:tail", "The newest records; -f follows."),
    "query": ("service.commands.log_query:query", "SQL over sealed and hot data together."),
    "export": ("service.commands.log_export:export", "Records, or rows as Parquet, CSV or JSON lines."),
    "labels": (
        "service.commands.log_labels:labels",
        "Which predictions have their label, and which labels no prediction.",
    ),
    "replay": (
        "service.commands.log_replay:replay",
        "Recorded inputs through a version, compared with what was answered.",
    ),
    "explain": (
        "service.commands.log_explain:explain",
        "What an incident did to the answers, and what gives its rows away.",
    ),
    "archive": ("service.commands.log_archive:archive", "Sealed segments become Parquet; what is too old goes."),
    "erase": ("service.commands.log_erase:erase", "What is said of a person goes, with a receipt."),
    "verify": ("service.commands.log_verify:verify", "Check every frame and the ledger."),
}


@click.group(cls=LazyGroup, members=MEMBERS)
def log() -> None:
    """Read and check the feature log."""
