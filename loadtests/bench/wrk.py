"""How is a system loaded until it is full: wrk, the same body again and again; what it counted comes back."""

import json
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench.report import Measurement
from loadtests.bench.server import finish, pinned
from loadtests.bench.wires import Request

GRACE_S = 30  # beyond the asked duration, for wrk to connect and to add up

SCRIPT = """
wrk.method = "POST"
HEADERS
wrk.body = io.open(BODY_FILE, "rb"):read("*a")
function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\\n{"requests":%d,"duration_us":%d,"refused":%d,"broken":%d,"p50_us":%d,"p95_us":%d,"p99_us":%d}\\n',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50), latency:percentile(95), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Who is loaded with what: `rows` a request, over so many connections, from these cores; `folder` for the load's files."""

    url: str
    request: Request
    rows: int
    connections: int
    cores: str
    folder: Path


def command(target: Target, seconds: float) -> list[str]:
    """The load as it is run; also what the report prints."""
    wrk = ["wrk", "--threads", "1", "--connections", str(target.connections), "--duration", f"{seconds:.0f}s"]
    return pinned(target.cores, [*wrk, "--script", str(target.folder / "post.lua"), target.url])


def load(target: Target, seconds: float) -> Measurement:
    """Loads it for `seconds` (whole ones). Raises SystemUnfit where wrk fails."""
    body_file = target.folder / "body"
    body_file.write_bytes(target.request.body)
    headers = "\n".join(f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}" for k, v in target.request.headers.items())
    script = SCRIPT.replace("BODY_FILE", json.dumps(str(body_file))).replace("HEADERS", headers)
    (target.folder / "post.lua").write_text(script)
    printed = finish("wrk", command(target, seconds), {}, seconds + GRACE_S)
    return Measurement(**json.loads(printed.strip().splitlines()[-1]), rows=target.rows)
