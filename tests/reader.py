"""Who follows a document literally: a shell in a folder that has what a clone has, with a `plumbline up` beside it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.documents import Step, missing
from tests.processes import ROOT, Process, answers, environment, free_port, wait_until

READY_S, SAID_S, ASKED_S, BLOCK_S = 60.0, 60.0, 180.0, 300.0
TOKEN = "a-secret-of-your-own"
PORT, MONITOR_PORT = "3000", "3001"  # in the documents
_PROGRAM = '#!/bin/sh\nexec "{}" {} "$@"\n'


class Reader:
    """Types what stands in `folder`; the ports of the documents are free ones here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ports = {PORT: str(free_port()), MONITOR_PORT: str(free_port())}
        for name in ("docs", "requirements-dev.lock"):
            (folder / name).symlink_to(ROOT / name)
        binaries = folder / ".venv" / "bin"
        binaries.mkdir(parents=True)
        for name, words in (("python", ""), ("plumbline", "-m plumbline")):
            (binaries / name).write_text(_PROGRAM.format(sys.executable, words))
            (binaries / name).chmod(0o755)
        service = f"http://127.0.0.1:{self._ports[PORT]}"
        self._env = environment(
            PLUMBLINE_ADMIN_TOKEN=TOKEN,
            PLUMBLINE_MONITOR_SERVICE_URL=service,
            PLUMBLINE_MONITOR_PORT=self._ports[MONITOR_PORT],
            DELIVERIES_URL=service,
            PYTHONPATH=os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        )

    @contextmanager
    def up(self, command: str) -> Iterator[None]:
        """What a second terminal runs, until the end of the block."""
        ports = ["--port", self._ports[PORT], "--monitor-port", self._ports[MONITOR_PORT]]
        with Process([*command.split(), *ports], env=self._env, cwd=self.folder) as process:
            for port, path in ((PORT, "readyz"), (MONITOR_PORT, "healthz")):
                url = f"http://127.0.0.1:{self._ports[port]}/{path}"
                process.wait_until(lambda url=url: answers(url), READY_S, f"{url} answers")
            yield

    def follow(self, step: Step) -> None:
        """Types a block; its last line again where the monitor, which reads the log behind the requests, is not so far."""
        output, end_s = self._typed(step.commands), time.monotonic() + SAID_S
        last = step.commands.replace("\\\n", " ").splitlines()[-1]
        while (line := missing(step.printed, output)) is not None:
            assert time.monotonic() < end_s, f"{step.commands}\nprinted\n{output}\nand not {line!r}"
            output += self._typed(last)

    def tried(self, commands: str) -> tuple[int, str]:
        """The exit code of what is typed, and all that it prints."""
        here = re.sub(rf":({PORT}|{MONITOR_PORT})\b", lambda found: f":{self._ports[found[1]]}", commands)
        done = subprocess.run(
            ["/bin/bash", "-ec", here],
            cwd=self.folder,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BLOCK_S,
            check=False,
        )
        return done.returncode, done.stdout

    def answered(self, question: str) -> str:
        """What a `curl` line gives; it is asked again where there is nothing yet, as before the monitor's first minute."""
        here = question.replace("curl ", "curl --silent --show-error --fail ", 1)

        def answer() -> str | None:
            code, output = self.tried(here)
            return output if code == 0 else None

        return wait_until(answer, ASKED_S, question)

    def _typed(self, commands: str) -> str:
        code, output = self.tried(commands)
        assert code == 0, f"{commands}\n{output}"
        return output
