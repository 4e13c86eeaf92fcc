"""What do a million requests cost: bytes a row hot and sealed, time and memory to archive, to query, to monitor?

    python -m tests.promises.million --requests 1000000

The records are those of the demo model `payments`, made by its simulator and its graph and written by the real writer. Exit
code 1 where a row is missing or twice, or where the monitor needs more than its bar.
"""

import argparse
import asyncio
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import msgspec
import numpy as np

from models.contract import Contract
from models.demo.simulator import payments, rows
from models.demo.training import tensors_of
from models.registry import Registry
from models.session import Session
from service.featurelog.floors import load_manifest
from service.featurelog.record import Outcome, Request, Schema
from service.featurelog.segments import Rotation
from service.featurelog.writer import FeatureLog
from service.rows import BlockPlan, OutputPlan
from tests.processes import ROOT, Process, environment, free_port, plumbline, wait_until

ARTEFACT = ROOT / "models" / "demo" / "artefacts" / "payments" / "1"
START_US = 20_000 * 86_400_000_000
GAP_US = 20_000  # 50 requests a second: a million are five and a half hours
AT_ONCE = 2_000  # requests of one turn of the event loop
SEGMENT_BYTES = 64 << 20  # the service's default
LOOK_S = 0.01
MONITOR_MIB_MAX = 200  # DESIGN §5
GROUP_BY = """
select merchant_category, count(*) as n, avg(amount) as amount, avg("probabilities[1]") as risk,
    quantile_cont(total_us, 0.99) as p99_us
from read_parquet('{files}') group by merchant_category order by n desc
"""
KEYS = "select count(*), count(distinct (writer, epoch, seq, row)) from read_parquet('{files}')"


class Measured(NamedTuple):
    """One line of the report."""

    what: str
    value: str


def main() -> int:
    """Measures and prints; the numbers that have a bar decide the exit code."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="plumbline-million-", dir=arguments.folder) as folder:
        home = Path(folder)
        found, whole = measure(home, arguments.requests, with_monitor=not arguments.no_monitor)
    for line in found:
        print(f"{line.what:<44} {line.value}")
    return 0 if whole else 1


def measure(home: Path, requests: int, *, with_monitor: bool) -> tuple[list[Measured], bool]:
    """The report, and whether every row is there once and the bars hold."""
    took_s = asyncio.run(_write(home, requests))
    hot = sum(path.stat().st_size for path in (home / "log" / "w0").glob("*.seg"))
    found = [
        Measured("requests written (one row each)", f"{requests:,} in {took_s:.1f} s"),
        Measured("bytes a row, hot", f"{hot / requests:.1f}"),
    ]
    monitor_mib = None
    if with_monitor:
        monitor_mib, took_s = _monitored(home)
        found.append(Measured("monitor: the whole log, peak RSS", f"{took_s:.1f} s, {monitor_mib:.0f} MiB"))
    child_mib, took_s, said = _archived(home)
    files = load_manifest(home / "archive").files
    sealed = sum(file.bytes for file in files)
    found += [
        Measured("bytes a row, sealed", f"{sealed / requests:.1f} ({hot / sealed:.1f} times smaller)"),
        Measured(
            "archived (child process, all of it)",
            f"{took_s:.1f} s, {requests / took_s:,.0f} rows/s, {len(files)} files",
        ),
        Measured("archiver: peak RSS", f"{child_mib:.0f} MiB"),
    ]
    there, distinct, query_s = _asked(home)
    found.append(Measured("group by in DuckDB over Parquet (1 thread)", f"{query_s * 1000:.0f} ms"))
    found.append(Measured("rows in the archive, distinct keys", f"{there:,}, {distinct:,}"))
    whole = there == distinct == requests == said["rows"] and (monitor_mib is None or monitor_mib <= MONITOR_MIB_MAX)
    return found, whole


async def _write(home: Path, requests: int) -> float:
    """Seconds of writing alone."""
    digest = Registry(home / "registry").install({path.name: path.read_bytes() for path in ARTEFACT.iterdir()})
    contract = Contract.decode((ARTEFACT / "contract.json").read_bytes())
    log = FeatureLog(
        home / "log", rotation=Rotation(SEGMENT_BYTES, 1e9), fsync_interval_s=0.5, clock_us=lambda: START_US
    )
    keeping = asyncio.create_task(log.keep())
    took_s = 0.0
    for records in _records(contract, digest, requests, log):
        started_s = time.monotonic()
        waiting = [log.append_request(record) for record in records]
        await waiting[-1]
        took_s += time.monotonic() - started_s
    keeping.cancel()
    await log.close()
    return took_s


def _records(contract: Contract, digest: str, requests: int, log: FeatureLog) -> Iterator[list[Request]]:
    """Requests of one row each, their answers from the graph."""
    dice = np.random.default_rng(1)
    features, outputs = BlockPlan(contract.features), OutputPlan(contract, "payments@1")
    session = Session((ARTEFACT / "model.onnx").read_bytes(), ref="payments@1")
    schema = log.schema_id(Schema(0, "payments", "1", digest, features.schema(), outputs.schema))
    borders = [*range(0, requests, AT_ONCE), requests]
    for start, end in pairwise(borders):
        at_us = START_US + np.arange(start, end) * GAP_US
        batch = payments(dice, at_us / 1e6)
        answers = session.run(tensors_of(batch))
        took_us = dice.lognormal(6, 0.4, end - start).astype(int).tolist()
        ids = dice.bytes(16 * (end - start)).hex()
        found = []
        for place, row in enumerate(rows(batch)):
            one = [array[place : place + 1] for array in answers]
            found.append(
                Request(
                    int(at_us[place]), ids[32 * place : 32 * place + 32], Outcome.ANSWERED, 200, "", "v2", schema, "payments",
                    "stable", start % 10_000, 3, 1, took_us[place] // 10, took_us[place] // 3, took_us[place],
                    features.block([tuple(row.values())]), outputs.block(one, 1),
                )
            )  # fmt: skip
        yield found


def _archived(home: Path) -> tuple[float, float, dict[str, Any]]:
    """Peak MiB of the child, seconds that it took from start to end, what it said."""
    started_s = time.monotonic()
    command = plumbline("log", "archive", "--home", home, "--json")
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, cwd=ROOT) as child:
        peak = 0.0
        while child.poll() is None:  # its own high water: what wait4 tells begins with that of this process
            peak = max(peak, _peak_mib(child.pid))
            time.sleep(LOOK_S)
        took_s = time.monotonic() - started_s
        assert child.stdout is not None
        said = child.stdout.read()
    assert child.returncode == 0, said
    return peak, took_s, msgspec.json.decode(said)


def _peak_mib(pid: int) -> float:
    """High water of resident memory; 0 where the process is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0.0)


def _monitored(home: Path) -> tuple[float, float]:
    """Peak MiB of a monitor that reads the whole log, and the seconds until it has; it starts no pass meanwhile."""
    port = free_port()
    settings = environment(PLUMBLINE_MONITOR_ARCHIVE_INTERVAL_S="0")
    started_s = time.monotonic()
    with Process(plumbline("monitor", "--home", home, "--monitor-port", port), env=settings) as monitor:
        wait_until(lambda: _saved(home), 600, "the monitor's checkpoint at the end of the log")
        took_s = time.monotonic() - started_s
        return _peak_mib(monitor.pid), took_s


def _saved(home: Path) -> bool:
    """Does the checkpoint stand at the end of the newest segment?"""
    newest = max((home / "log" / "w0").glob("*.seg"))
    place = home / "monitor" / "checkpoint"
    if not place.exists():
        return False
    positions = msgspec.msgpack.decode(place.read_bytes()[10:])["positions"]
    return bool(positions.get("w0", [0, 0, 0])[2] >= newest.stat().st_size or positions["w0"][1] > int(newest.stem[9:]))


def _asked(home: Path) -> tuple[int, int, float]:
    """Rows, distinct keys, seconds of the group by when the files are in the page cache."""
    files = f"{home}/archive/requests/*/*/*/*.parquet"
    with duckdb.connect(config={"threads": 1}) as database:
        there, distinct = database.execute(KEYS.format(files=files)).fetchall()[0]
        took_s = []
        for _ in range(3):
            started_s = time.monotonic()
            database.execute(GROUP_BY.format(files=files)).fetchall()
            took_s.append(time.monotonic() - started_s)
    return there, distinct, min(took_s)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where the home is made; the machine's place for temporary files")
    parser.add_argument("--no-monitor", action="store_true", help="leaves the monitor's memory out")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
