"""Shares and stickiness over HTTP, the long way: 100 000 keys at 10 %, one and four workers, a share that rises, a rollback.

    python -m tests.promises.sticky --keys 100000

Exit code 1 where a share is outside of its 99.9 % interval, a key is answered by another arm on another number of workers or
after a restart, a key moves back when the share rises, or a worker used the rolled-back arm for longer than a second.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from service.featurelog.reader import LogReader
from service.featurelog.record import Request
from service.presence import worker_signs
from service.routes_file import RoutesFile
from service.routing import BUCKETS
from tests.keyed import arms_of
from tests.processes import environment, plumbline, served, wait_until

Z_999 = 3.2905  # of a normal variable, 99.9 % is nearer to its mean than so many standard deviations
CONNECTIONS = 48
AGAIN_KEYS, AGAIN_MAX = 1000, 20  # which worker takes a connection is the kernel's choice: one may have had none
WORKERS = (1, 4)
ROLLED_BACK_S = 1.0
SHARES_BP = (1000, 2500)
READ_RECORDS = 10_000


@dataclass(frozen=True)
class Found:
    """What was seen: keys in the canary by pass, keys that changed their arm, workers that answered, seconds of a rollback."""

    keys_n: int
    in_canary: Mapping[str, int]
    elsewhere: int
    back: int
    workers: Mapping[str, int]
    rolled_back_s: float

    def faults(self, rolled_back_s_max: float = ROLLED_BACK_S) -> list[str]:
        """What is not as it should be."""
        found = []
        for name, share_bp in zip(self.in_canary, (SHARES_BP[0], *SHARES_BP), strict=True):
            p = share_bp / BUCKETS
            off = abs(self.in_canary[name] - p * self.keys_n)
            if off > Z_999 * (self.keys_n * p * (1 - p)) ** 0.5:
                found.append(f"{name}: {self.in_canary[name]} of {self.keys_n} keys in the canary at {p:.0%}")
        if self.elsewhere:
            found.append(f"{self.elsewhere} keys changed their arm with the number of workers or a restart")
        if self.back:
            found.append(f"{self.back} keys moved back to stable when the share rose")
        if set(self.workers.values()) != set(WORKERS):
            found.append(f"workers that answered: {dict(self.workers)}, expected all of {WORKERS}")
        if self.rolled_back_s > rolled_back_s_max:
            found.append(f"rolled-back arm: used for {self.rolled_back_s:.2f} s after its rollback was entered")
        return found


def measure(place: Path, keys_n: int) -> Found:
    """All passes over one home, which is empty at the beginning."""
    keys = [f"customer-{number}" for number in range(keys_n)]
    with served(place, workers=1) as (_, url):
        command("canary", "payments", 2, SHARES_BP[0] / 100, "--home", place)
        command("set", "payments", "--key", "header:x-customer-id", "--home", place)
        first = _arms(url, keys, "one")
    with served(place, workers=4) as (_, url):
        wait_until(lambda: len(worker_signs(place / "workers")) == 4, 60, "four workers")
        second = _arms(url, keys, "four")
        elsewhere = _until_all_answered(url, second, place)
        command("canary", "payments", 2, SHARES_BP[1] / 100, "--home", place)
        raised = _arms(url, keys, "raised")
        rolled_back_s = _rollback(url, keys, place)
    passes = {"one": first, "four": second, "raised": raised}
    answered = _workers(place)
    return Found(
        keys_n,
        {name: sum(arm == "canary" for arm in arms.values()) for name, arms in passes.items()},
        elsewhere + sum(first[key] != second[key] for key in keys),
        sum(second[key] == "canary" and raised[key] != "canary" for key in keys),
        {"one": len(answered["one"]), "four": len(answered["four"])},
        rolled_back_s,
    )


def _until_all_answered(url: str, arms: Mapping[str, str], place: Path) -> int:
    """Asks again, over new connections, until every worker has answered; how many keys had another arm than before."""
    some = list(arms)[:AGAIN_KEYS]
    elsewhere = 0
    for _ in range(AGAIN_MAX):
        if len(_workers(place)["four"]) == max(WORKERS):
            break
        elsewhere += sum(arms[key] != arm for key, arm in _arms(url, some, "four").items())
    return elsewhere


def command(*words: object) -> None:
    """`plumbline routes …`; returns when all workers have applied it, or after two seconds."""
    argv = plumbline("routes", *map(str, words))
    done = subprocess.run(argv, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _arms(url: str, keys: Sequence[str], run: str) -> dict[str, str]:
    place = urlsplit(url)
    assert place.hostname is not None and place.port is not None
    return asyncio.run(arms_of(place.hostname, place.port, keys, connections=CONNECTIONS, run=run))


def _rollback(url: str, keys: Sequence[str], place: Path) -> float:
    """Seconds from the entry of the rollback to the arrival of the last request that its arm answered, under load."""
    place_of = urlsplit(url)
    host, port = str(place_of.hostname), int(place_of.port or 0)

    async def under_load() -> None:
        argv = plumbline("routes", "rollback", "payments", "--home", place)
        rollback = asyncio.create_task(_run(argv))
        turn = 0
        while not rollback.done():
            await arms_of(host, port, keys[:AGAIN_KEYS], connections=CONNECTIONS, run=f"back{turn}")
            turn += 1
        await rollback
        after = await arms_of(host, port, keys[:AGAIN_KEYS], connections=CONNECTIONS, run="after")
        assert set(after.values()) == {"stable"}

    asyncio.run(under_load())
    entered = datetime.fromisoformat(RoutesFile(place / "routes.toml").entries()[-1].entry.at).timestamp()
    last_us = max(request.at_us for _, request in _requests(place) if request.arm == "canary")
    return last_us / 1e6 - entered


async def _run(argv: Sequence[str]) -> None:
    process = await asyncio.create_subprocess_exec(*argv, env=environment(), stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0


def _workers(place: Path) -> dict[str, set[str]]:
    """Pass → writers of the log that answered in it."""
    found: dict[str, set[str]] = {}
    for writer, request in _requests(place):
        found.setdefault(request.request_id.partition("/")[0], set()).add(writer)
    return found


def _requests(place: Path) -> Iterator[tuple[str, Request]]:
    reader = LogReader(place / "log")
    while True:
        chunk = reader.read(READ_RECORDS)
        for run in chunk.runs:
            yield from ((run.writer, record) for _, record in run.records if isinstance(record, Request))
        if chunk.caught_up:
            return


def main() -> int:
    """Runs it and prints what held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=100_000)
    with tempfile.TemporaryDirectory(prefix="plumbline-sticky-") as folder:
        place = Path(folder) / "home"
        place.mkdir()
        found = measure(place, parser.parse_args().keys)
    for name, in_canary in found.in_canary.items():
        print(f"{name}: {in_canary} of {found.keys_n} keys in the canary ({in_canary / found.keys_n:.2%})")
    print(f"keys on another arm with four workers than with one, after a restart: {found.elsewhere}")
    print(f"keys that moved back when the share rose: {found.back}; workers that answered: {dict(found.workers)}")
    print(f"last request to the rolled-back arm, after its entry: {found.rolled_back_s:.3f} s")
    faults = found.faults()
    print("\n".join(faults) or "held")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
