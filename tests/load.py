"""Clients that keep asking while something happens to the service."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.requests import payments_body


class Load:
    """Threads that send one request after the other over kept connections (or one each), and remember what was answered."""

    def __init__(self, url: str, clients: int, *, kept: bool = True, name: str = "client", key: str = "") -> None:
        """`key`: the API key; `self.key` may be set to another one while the load runs."""
        self._url, self._name = url, name
        self._headers = {} if kept else {"connection": "close"}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(clients)]
        self._body, self.key = payments_body(), key
        self.answered: list[str] = []
        self.statuses: Counter[int] = Counter()
        self.versions: Counter[str] = Counter()
        self.broken = self.refused = 0
        self.told: Counter[str] = Counter()  # what those were told who were not answered with 200

    def _run(self, number: int) -> None:
        sent = 0
        while not self._stop.is_set():
            with httpx.Client(trust_env=False, timeout=10) as client:
                try:
                    while not self._stop.is_set():
                        sent += 1
                        self._ask(client, f"{self._name}{number}-{sent}")
                except httpx.ConnectError:  # nobody listens any more: the service has ended
                    self.refused += 1
                    return
                except httpx.TransportError:  # the process behind this connection died: this request was not answered
                    self.broken += 1

    def _ask(self, client: httpx.Client, request_id: str) -> None:
        own = {"x-request-id": request_id, **({"x-api-key": self.key} if self.key else {})}
        answer = client.post(self._url, content=self._body, headers={**self._headers, **own})
        self.statuses[answer.status_code] += 1
        if answer.status_code == 200:
            self.answered.append(answer.headers["x-request-id"])
            self.versions[answer.headers["x-model-version"]] += 1
        else:
            self.told[answer.text.replace(request_id, "…")] += 1

    @contextmanager
    def running(self) -> Iterator[None]:
        """The load lasts as long as the block."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()
