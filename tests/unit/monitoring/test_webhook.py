import asyncio
import contextlib
import socket
import threading
from ipaddress import ip_address

import pytest

from monitoring.delivery import NoReply, Reply
from monitoring.dispatch.message import CLOUD_EVENT, Message
from monitoring.errors import AddressRefused, HostUnresolved
from monitoring.webhook import REASON_CHARS_MAX, HttpSender, Resolver, is_loopback_host, public, resolve
from tests.processes import wait_until
from tests.unit.monitoring.receiver import SECRET, receiving


def post(
    url: str,
    *,
    allow: bool = True,
    timeout_s: float = 5.0,
    resolver: Resolver = resolve,
    authorization: str | None = None,
) -> Reply | NoReply:
    async def once() -> Reply | NoReply:
        sender = HttpSender(
            url,
            secret=SECRET,
            timeout_s=timeout_s,
            allow_private_addresses=allow,
            resolve=resolver,
            authorization=authorization,
        )
        try:
            return await sender.send(Message("evt_1", b'{"specversion":"1.0"}'))
        finally:
            await sender.close()

    return asyncio.run(once())


def answering(*addresses: str) -> Resolver:
    async def resolver(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolver


def test_a_post_is_signed_as_standard_webhooks_say_and_carries_a_cloud_event() -> None:
    with receiving() as receiver:
        assert post(receiver.url) == Reply(204)
    assert receiver.failures == []
    assert receiver.taken == [("evt_1", b'{"specversion":"1.0"}')]
    (headers,) = receiver.seen
    assert headers["content-type"] == CLOUD_EVENT
    assert headers["host"] == receiver.url.split("/")[2]


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    with receiving() as target, receiving([(307, {"location": target.url})]) as receiver:
        assert post(receiver.url) == Reply(307)
    assert target.attempts == 0


def test_retry_after_is_handed_on() -> None:
    with receiving([(503, {"retry-after": "17"})]) as receiver:
        assert post(receiver.url) == Reply(503, "17")


def test_a_large_answer_is_not_read_to_its_end() -> None:
    with receiving([(500, {})], body=b"x" * 50_000_000) as receiver:
        assert post(receiver.url) == Reply(500)
        wait_until(lambda: receiver.cut_off == 1, 5.0, "the receiver is cut off")


def test_a_receiver_that_never_answers_ends_the_attempt_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        reply = post(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout_s=0.2)
    assert reply == NoReply("no answer within 0.2 s")


def test_a_receiver_that_is_not_there_is_no_reply() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert isinstance(post(f"http://127.0.0.1:{port}/"), NoReply)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fe80::1%eth0", "::ffff:10.0.0.1"]
)
def test_private_addresses_are_refused_unless_they_are_allowed(address: str) -> None:
    with pytest.raises(AddressRefused, match="nothing was sent"):
        post("http://hooks.example/", allow=False, resolver=answering(address))


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(AddressRefused, match=r"10\.0\.0\.7"):
        post("http://hooks.example/", allow=False, resolver=answering("203.0.114.1", "10.0.0.7"))


def test_the_connection_goes_to_the_checked_address_with_the_name_in_the_host_header() -> None:
    with receiving() as receiver:
        port = receiver.url.split(":")[2].split("/")[0]
        assert post(f"http://hooks.example:{port}/x", resolver=answering("127.0.0.1")) == Reply(204)
    assert receiver.seen[0]["host"] == f"hooks.example:{port}"


def test_a_header_that_cannot_be_sent_is_not_shown() -> None:
    with receiving() as receiver:
        reply = post(receiver.url, authorization="Bearer hunter2\nsecond line")
    assert reply == NoReply("LocalProtocolError")
    assert receiver.attempts == 0


def test_an_answer_that_is_none_is_shown_only_by_its_beginning() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"x" * 50_000 + b"\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        reply = post(f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread.join()
    assert isinstance(reply, NoReply)
    assert len(reply.reason) <= REASON_CHARS_MAX


def test_an_answer_is_asked_for_as_it_is_and_one_that_is_encoded_says_so() -> None:
    with receiving(
        [(200, {"content-encoding": "GZIP"}), (200, {"content-encoding": "identity"})], body=b"x"
    ) as receiver:
        assert post(receiver.url) == Reply(200, body=b"x", encoding="gzip")
        assert post(receiver.url) == Reply(200, body=b"x")
    assert [headers["accept-encoding"] for headers in receiver.seen] == ["identity"] * 2


@pytest.mark.parametrize("addresses", [("127.0.0.2", "127.0.0.1"), ("::1", "127.0.0.3", "127.0.0.1")])
def test_where_one_address_takes_no_connection_the_next_is_tried(addresses: tuple[str, ...]) -> None:
    with receiving() as receiver:
        assert post(receiver.url, resolver=answering(*addresses)) == Reply(204)
    assert receiver.attempts == 1


def test_an_address_that_does_not_answer_leaves_time_for_the_next() -> None:
    with receiving() as receiver, contextlib.ExitStack() as full:
        port = int(receiver.url.split(":")[2].split("/")[0])
        full.enter_context(socket.create_server(("127.0.0.2", port), backlog=0))
        for _ in range(3):  # one waits to be accepted; to those behind it the kernel says nothing
            waiting = full.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.2", port))
        assert post(receiver.url, timeout_s=3.0, resolver=answering("127.0.0.2", "127.0.0.1")) == Reply(204)


def test_each_address_that_is_tried_was_checked() -> None:
    with receiving() as receiver:
        with pytest.raises(AddressRefused, match=r"127\.0\.0\.1"):
            post(receiver.url, allow=False, resolver=answering("203.0.114.1", "127.0.0.1"))
        assert receiver.attempts == 0


def test_who_took_the_connection_and_does_not_answer_is_the_only_one_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        assert post(url, timeout_s=0.4, resolver=answering("127.0.0.1", "127.0.0.1")) == NoReply(
            "no answer within 0.4 s"
        )
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_a_host_without_address_is_said_to_be_one() -> None:
    with pytest.raises(HostUnresolved, match=r"hooks\.example"):
        post("http://hooks.example/", resolver=answering())


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("8.8.8.8", True),
        ("2001:4860:4860::8888", True),
        ("192.168.0.1", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),
    ],
)
def test_public_addresses_are_told_from_the_others(address: str, is_public: bool) -> None:
    assert public(ip_address(address)) is is_public


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("example.com", False), ("10.0.0.1", False)],
)
def test_loopback_is_recognised_without_asking_a_resolver(host: str, loopback: bool) -> None:
    assert is_loopback_host(host) is loopback
