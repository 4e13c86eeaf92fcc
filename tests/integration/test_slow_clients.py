"""Do clients that dawdle hurt those that do not? slowhttptest's attacks, and readers that never read, against a worker."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from tests.load import Load
from tests.processes import Process, home, served, wait_until
from tests.requests import payments_body

pytestmark = pytest.mark.integration

ATTACKERS = 200
CLOSED_WITHIN_S = 10
MACHINE_S = 5  # how late a machine that does other things may be
ATTACK_S = 20
BESIDE = 8  # connections of the good clients, and the one that looks
PREDICT = "/v1/models/payments:predict"
ATTACKS = {
    "slow heads": ["-H", "-i", "1"],
    "slow bodies": ["-B", "-i", "1", "-s", "100000", "-f", "application/json"],
    "slow readers": ["-X", "-i", "1", "-k", "8", "-w", "8", "-y", "16", "-n", "5", "-z", "1"],
}


@dataclass(frozen=True)
class Running:
    url: str
    worker: psutil.Process

    def open(self) -> int:
        """Connections that the worker has now."""
        found = self.worker.net_connections(kind="tcp")
        return sum(one.status == psutil.CONN_ESTABLISHED for one in found)

    def rss_mib(self) -> float:
        rss: int = self.worker.memory_info().rss
        return rss / 2**20


def worker_of(process: Process) -> psutil.Process:
    """The descendant that has loaded the models: the one with the most memory."""
    found = [psutil.Process(pid) for pid in process.descendants()]
    return max(found, key=lambda one: one.memory_info().rss)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with served(home(tmp_path_factory.mktemp("slow"))) as (process, url):
        yield Running(url, worker_of(process))


@contextmanager
def unharmed(running: Running) -> Iterator[None]:
    """Good clients ask all the while, and every one of their requests is answered with 200."""
    load = Load(running.url + PREDICT, 4)
    with load.running():
        yield
    assert load.broken == 0
    assert set(load.statuses) == {200}, load.told
    assert len(load.answered) > 100


@pytest.mark.parametrize("options", ATTACKS.values(), ids=ATTACKS)
def test_slow_connections_are_closed_and_good_clients_do_not_notice(options: list[str], running: Running) -> None:
    path = PREDICT if "-B" in options else "/v2/models/payments/config"
    attack = [
        "slowhttptest",
        *options,
        "-c",
        str(ATTACKERS),
        "-r",
        "100",
        "-l",
        str(ATTACK_S),
        "-u",
        running.url + path,
    ]
    with unharmed(running), Process(attack) as attacker:
        begun = time.monotonic()
        wait_until(lambda: running.open() > ATTACKERS / 2, 15, "the attack has begun")
        wait_until(lambda: running.open() <= BESIDE, CLOSED_WITHIN_S + MACHINE_S, "slow connections closed")
        print(f"{' '.join(options)}: {ATTACKERS} connections closed {time.monotonic() - begun:.1f} s after the start")
        attacker.terminate()


def test_who_does_not_read_its_answers_is_cut_off_and_costs_little_memory(running: Running) -> None:
    """Two requests of 2 000 rows in a row on each of 20 connections. The kernel takes most of their answers; more than it takes
    is `test_protocol.py`'s (`write_timeout`)."""
    body = payments_body(2_000)
    head = f"POST {PREDICT} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    httpx.post(running.url + PREDICT, content=body, timeout=30, trust_env=False).raise_for_status()
    before_mib = running.rss_mib()
    with ExitStack() as held, unharmed(running):
        for _ in range(20):
            client = held.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", int(running.url.rsplit(":")[-1])))
            client.setblocking(False)
            client.send((head + body) * 2)
            # Asked behind it and answered after it: the queue is not full of the readers' rows, which is another matter.
            httpx.post(running.url + PREDICT, content=payments_body(), timeout=30, trust_env=False).raise_for_status()
        wait_until(lambda: running.open() > 20, 10, "the readers are there")
        wait_until(lambda: running.open() <= BESIDE, CLOSED_WITHIN_S + MACHINE_S, "readers that do not read cut off")
    grown_mib = running.rss_mib() - before_mib
    print(f"grown by {grown_mib:.1f} MiB")
    assert grown_mib < 32


def test_the_worker_counts_whom_it_gave_up(running: Running, tmp_path: Path) -> None:
    with ExitStack() as held:
        client = held.enter_context(socket.create_connection(("127.0.0.1", int(running.url.rsplit(":")[-1]))))
        client.settimeout(CLOSED_WITHIN_S + MACHINE_S)
        client.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 408 ")
    text = httpx.get(running.url + "/metrics", timeout=30, trust_env=False).text
    assert 'plumbline_connections_ended_total{reason="header_timeout"}' in text
