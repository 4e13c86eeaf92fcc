"""Who looks at the service while it is loaded takes little for it, and lives with what it cannot read."""

import pytest

from loadtests.load.watch import Watch
from tests.scripted import Asked, scripted

PAGE = b"plumbline_requests_received_total 3.0\n"


def test_all_looks_of_a_run_go_over_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_API_KEY", "secret")
    callers: set[int] = set()
    keys: set[str | None] = set()

    def say(asked: Asked) -> None:
        callers.add(asked.client_address[1])
        keys.add(asked.headers.get("x-api-key"))
        asked.reply(200, PAGE)

    with scripted(say) as server:
        watch = Watch(f"http://{server.host}", None, lambda: 1)
        pages = [watch.look().page for _ in range(3)]
        watch.close()
    assert all(page is not None and page.total("plumbline_requests_received_total") == 3 for page in pages)
    assert len(callers) == 1 and keys == {"secret"}


def test_a_look_that_fails_is_one_without_numbers() -> None:
    with scripted(lambda asked: asked.reply(503)) as server:
        watch = Watch(f"http://{server.host}", None, lambda: 1)
        assert watch.look().page is None
    assert watch.look().page is None, "nobody is there"
    watch.close()


def test_the_last_look_waits_for_every_outcome_that_callers_were_told() -> None:
    pages = [0, 1, 2, 3]  # rejected ones that the workers have published by then

    def say(asked: Asked) -> None:
        n = pages.pop(0) if len(pages) > 1 else pages[0]
        asked.reply(200, b'plumbline_requests_total{outcome="rejected"} %d.0\n' % n)

    with scripted(say) as server:
        watch = Watch(f"http://{server.host}", None, lambda: 0)
        watch.looks.append(watch.look())
        watch.stop({"answered": 0, "rejected": 3})
        watch.close()
    counted = watch.counted()
    assert counted is not None and counted.total("plumbline_requests_total", outcome="rejected") == 3
