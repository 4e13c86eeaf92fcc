"""What does a worker say of itself, from when it is warm until it ends, and when may it accept?"""

import asyncio
import os
from pathlib import Path

from service.catalogue import Catalogue, Snapshot
from service.presence import Presence, ServiceSign, WorkerSign, read_sign

LOOK_EVERY_S = 0.02


async def answer_roll_call(presence: Presence, catalogue: Catalogue, *, started_us: int, poll_s: float) -> None:
    """Runs until cancelled: says what is served, and again when that changed. The first time is the sign of being ready."""
    told: Snapshot | None = None
    while True:
        present = catalogue.current
        if present is not told and presence.say(_sign(present, started_us)):
            told = present
        await asyncio.sleep(poll_s)


async def wait_for_release(service_path: Path) -> None:
    """A reload judges a new worker by its sign before its first connection: one that serves less answers nobody."""
    while (service := read_sign(service_path, ServiceSign)) is not None and service.hold:  # noqa: ASYNC110 - another process
        await asyncio.sleep(LOOK_EVERY_S)


def _sign(snapshot: Snapshot, started_us: int) -> WorkerSign:
    return WorkerSign(
        pid=os.getpid(),
        started_us=started_us,
        generation=snapshot.generation,
        models={model: policy.stable for model, policy in snapshot.policies.items()},
        versions={version.pin.ref: version.pin.digest for version in snapshot.versions.values()},
        problems=snapshot.problems,
        states=dict(snapshot.states),
    )
