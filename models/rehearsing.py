"""Recorded requests, run by a version that passed its trial: `python -m models.rehearsing`, confined as a trial is.

It imports nothing that inspects a graph: that is a third of what a process like this takes.
"""

import time
from contextlib import suppress

from models.confined import Given, serve
from models.errors import RunFailed
from models.manifest import MODEL
from models.packed import unpack
from models.session import Session

REHEARSAL_S = 5.0  # a version whose runs take long has had enough of them by then


def rehearse(given: Given) -> None:
    """Runs them, for REHEARSAL_S at most; a run that fails harms nobody, one that ends this process is its verdict."""
    session, end_s = Session(given.files[MODEL], ref=given.order.ref), time.monotonic() + REHEARSAL_S
    for inputs in unpack(given.requests):
        with suppress(RunFailed):
            session.run(inputs)
        if time.monotonic() > end_s:
            break


if __name__ == "__main__":
    serve(rehearse)
