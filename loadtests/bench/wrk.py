"""How is one system loaded: wrk from the other core, the same body again and again; what it counted comes back."""

import json
import subprocess
from pathlib import Path

from loadtests.bench.report import Measurement

GRACE_S = 30  # beyond the asked duration, for wrk to connect and to add up

SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = io.open(BODY_FILE, "rb"):read("*a")
function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\\n{"requests":%d,"duration_us":%d,"refused":%d,"broken":%d,"p50_us":%d,"p99_us":%d}\\n',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


def command(url: str, *, core: int, connections: int, duration_s: int, script: Path) -> list[str]:
    """The load as it is run; also what the report prints."""
    pinned = ["taskset", "-c", str(core), "wrk", "--threads", "1", "--connections", str(connections)]
    return [*pinned, "--duration", f"{duration_s}s", "--script", str(script), url]


def load(url: str, body: str, *, core: int, connections: int, duration_s: int, folder: Path) -> Measurement:
    """Loads `url` for `duration_s` seconds."""
    body_file, script = folder / "body.json", folder / "post.lua"
    body_file.write_text(body)
    script.write_text(SCRIPT.replace("BODY_FILE", json.dumps(str(body_file))))
    argv = command(url, core=core, connections=connections, duration_s=duration_s, script=script)
    run = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=duration_s + GRACE_S)
    return Measurement(**json.loads(run.stdout.strip().splitlines()[-1]))
