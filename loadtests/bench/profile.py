"""Where does our worker spend its core in the one-row scenario? py-spy looks while wrk loads it; self time a function.

py-spy runs on the load's core, so that what it costs is not in what it sees.
"""

import shlex
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from loadtests.bench import environments, wrk
from loadtests.bench.measure import WARM_UP_S
from loadtests.bench.server import family, finish, pinned
from loadtests.bench.site import LOAD_CORES, SYSTEM_CORES, Site
from loadtests.bench.systems import Form

PY_SPY = ("py-spy==0.4.3",)
FILE = "PROFILE.md"
CONNECTIONS = 16
SAMPLES_PER_S = 500
AROUND_S = 3  # the load lasts so much longer than the look: py-spy needs up to a second to begin
OPTIONS = ("--function", "--threads", "--format", "raw")
LOOP = ": MainThread;"  # the event loop's thread; the others wait, which py-spy does not always see
SHOWN = 40
HEAD = """# Where the worker's core goes, one row a request

Written by `make bench ARGS="--profile"`: the share of samples in which a function was the innermost Python function of the
event loop's thread. What C code does is counted to its caller: ONNX Runtime to `Session.run`, uvloop's sockets to `Runner.run`.

"""


def profile(site: Site, cache: Path, seconds: int) -> str:
    """The text of the side file. Raises SystemUnfit."""
    spy = environments.interpreter(PY_SPY, cache).parent / "py-spy"
    stacks = site.folder / "stacks"
    way = site.system.ways[Form.NAMED]
    with site.started(SYSTEM_CORES) as server:
        target = wrk.Target(
            url=server.url + way.path.format(name=site.model.name),
            request=way.ask(site.model.rows(1)),
            rows=1,
            connections=CONNECTIONS,
            cores=LOAD_CORES,
            folder=site.folder,
        )
        wrk.load(target, WARM_UP_S)
        load = threading.Thread(target=wrk.load, args=(target, seconds + AROUND_S))
        load.start()
        worker = max(family(server.pid), key=lambda process: sum(process.cpu_times()[:2]))
        look = [str(spy), "record", "--pid", str(worker.pid), "--rate", str(SAMPLES_PER_S), "--duration", str(seconds)]
        finish("py-spy", pinned(LOAD_CORES, [*look, *OPTIONS, "--output", str(stacks)]), {})
        load.join()
    return text(stacks.read_text().splitlines(), shlex.join(["py-spy", *look[1:], *OPTIONS]))


def self_time(stacks: Sequence[str]) -> list[tuple[str, float]]:
    """(function, share of the event loop's samples), the largest first; a line is `thread (ID): NAME;outer;…;inner COUNT`."""
    counts: Counter[str] = Counter()
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        if LOOP in stack:
            counts[stack.rsplit(";", 1)[-1]] += int(count)
    total = counts.total()
    return [(name, count / total) for name, count in counts.most_common()]


def text(stacks: Sequence[str], command: str) -> str:
    """Markdown."""
    rows = "".join(f"| {share:.1%} | `{name}` |\n" for name, share in self_time(stacks)[:SHOWN])
    return f"{HEAD}`{command}`\n\n| self | function |\n|---|---|\n{rows}"
