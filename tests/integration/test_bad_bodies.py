"""What is left in a worker of a hundred bodies that were made to hurt it? A peak while one is looked at, and nothing after."""

import http.client
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.bad_bodies import JSON, MIB, V1, Bad, bodies
from tests.processes import home, served, wait_until
from tests.requests import payments_body

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

GROWN_MIB_MAX = 32
AT_ONCE = 4
GOOD = payments_body()


def send(url: str, bad: Bad) -> int:
    """The status; a new connection each, because most of them are closed after it."""
    headers = {"content-type": JSON}
    if bad.encoding:
        headers["content-encoding"] = bad.encoding
    if bad.binary_after is not None:
        headers["inference-header-content-length"] = str(bad.binary_after)
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    try:
        parts: bytes | Iterator[bytes] = bad.body
        if bad.chunked:
            parts = (bad.body[begin : begin + MIB] for begin in range(0, len(bad.body), MIB))
        connection.request("POST", bad.path, parts, headers, encode_chunked=bad.chunked)
        return connection.getresponse().status
    except (BrokenPipeError, ConnectionResetError):
        return connection.getresponse().status  # refused while it was still being sent: the answer is there
    finally:
        connection.close()


class Peak(threading.Thread):
    """Looks at the worker's memory all the while."""

    def __init__(self, worker: psutil.Process) -> None:
        super().__init__(daemon=True)
        self._worker, self._ended = worker, threading.Event()
        self.rss_bytes = 0

    def run(self) -> None:
        while not self._ended.wait(0.01):
            self.rss_bytes = max(self.rss_bytes, self._worker.memory_info().rss)

    def stop(self) -> float:
        self._ended.set()
        self.join()
        return self.rss_bytes / MIB


def test_a_hundred_bad_bodies_leave_nothing_behind_and_no_good_request_unanswered(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with (
        served(home(tmp_path_factory.mktemp("bad"))) as (process, url),
        httpx.Client(trust_env=False, timeout=120) as good,
    ):
        found = [psutil.Process(pid) for pid in process.descendants()]
        worker = max(found, key=lambda one: one.memory_info().rss)

        def ask() -> None:
            assert good.post(url + V1, content=GOOD).status_code == 200

        def rss_mib() -> float:
            rss: int = worker.memory_info().rss
            return rss / MIB

        every = list(bodies())
        assert len(every) >= 100
        for _ in range(50):
            ask()
        assert (
            send(url, next(bad for bad in every if len(bad.body) > 15 * MIB)) >= 400
        )  # buffers that the first large one makes
        before_mib, peak = rss_mib(), Peak(worker)
        peak.start()
        for bad in every:
            status = send(url, bad)
            assert 400 <= status < 500, (bad.name, status)
            ask()
        alone_mib = peak.rss_bytes / MIB
        with ThreadPoolExecutor(AT_ONCE) as several:
            for bad, status in zip(every, several.map(lambda bad: send(url, bad), every), strict=True):
                assert 400 <= status < 500, (bad.name, status)
                ask()
        peak_mib = peak.stop()
        wait_until(lambda: rss_mib() - before_mib < GROWN_MIB_MAX, 10, "memory given back")
        figures = (
            f"{before_mib:.0f} before, {alone_mib:.0f} at most, {peak_mib:.0f} {AT_ONCE} at once, {rss_mib():.0f} after"
        )
        print(f"{len(every)} bodies, MiB: {figures}")
        assert worker.is_running()
