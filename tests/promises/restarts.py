"""P5, the long way: rolling restarts under as many requests as wrk can send, on kept connections, without one error.

    python -m tests.promises.restarts --restarts 10 --workers 2 --connections 32

Exit code 1 where a request failed, a worker was not replaced, or the log does not add up.
"""

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from service.featurelog.ledger import audit
from service.presence import worker_signs
from tests.processes import environment, plumbline, served, wait_until
from tests.requests import payments_body

SCRIPT = 'wrk.method = "POST"\nwrk.headers["content-type"] = "application/json"\nwrk.body = [==[{body}]==]\n'
LONGEST_S = 3600
FAULTS = re.compile(r"Socket errors: .*|Non-2xx or 3xx responses: .*")


def main() -> int:
    """Runs it and prints what held."""
    arguments = _arguments()
    if shutil.which("wrk") is None:
        print("restarts: wrk is not installed (apt-get install wrk); nothing was tried")
        return 0
    with tempfile.TemporaryDirectory(prefix="plumbline-restarts-") as folder:
        place = Path(folder) / "home"
        place.mkdir()
        with served(place, workers=arguments.workers, PLUMBLINE_DRAIN_S="5") as (service, url):
            wait_until(lambda: len(worker_signs(place / "workers")) == arguments.workers, 60, "all workers ready")
            said = _under_load(url, Path(folder), place, arguments)
            service.terminate(60)
        found = audit(place / "log")
    faults = FAULTS.findall(said)
    print(said)
    print(f"{arguments.restarts} rolling restarts of {arguments.workers} workers: {faults or 'no error'}")
    print(f"answered {found.answered} = logged {found.logged}; the log is {'whole' if found.whole else 'NOT whole'}")
    return 1 if faults or not found.whole or found.answered != found.logged else 0


def _under_load(url: str, folder: Path, place: Path, arguments: argparse.Namespace) -> str:
    """What wrk printed; it is stopped by SIGINT, which makes it print, when the restarts are done."""
    script = folder / "post.lua"
    script.write_text(SCRIPT.format(body=payments_body().decode()))
    command = ["wrk", "-t1", f"-c{arguments.connections}", f"-d{LONGEST_S}", "-s", str(script)]
    target = f"{url}/v1/models/payments:predict"
    load = subprocess.Popen([*command, target], stdout=subprocess.PIPE, text=True)
    try:
        for number in range(arguments.restarts):
            reload = plumbline("reload", "--home", place)
            done = subprocess.run(reload, env=environment(), capture_output=True, text=True, check=False, timeout=300)
            print(f"restart {number + 1}: {done.stdout.strip() or done.stderr.strip()}", flush=True)
            done.check_returncode()
        load.send_signal(signal.SIGINT)
        return load.communicate(timeout=60)[0]
    finally:
        load.kill()
        load.wait()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=32)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
