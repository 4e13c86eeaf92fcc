"""The rows: what a receiver can do to us, and what can happen to us, each with real processes on real sockets."""

import os
import signal
import socket
import time
from pathlib import Path

import psutil

from tests.processes import free_port, wait_until
from tests.promises.webhooks.homes import QUICK, flapping, hundred, one_incident
from tests.promises.webhooks.receiver import Answering, Misbehaviour, Receiver, certificate, receiving
from tests.promises.webhooks.row import Row, Seen
from tests.unit.monitoring.process import Monitor, monitor

DEADLINE_S = 120.0
HUGE_BYTES = 10 * 1000**3
TAKEN_BYTES_MAX = 32 * 1024 * 1024  # what fits into the sockets' buffers; a monitor that reads on takes gigabytes
GROWTH_BYTES_MAX = 64 * 1024 * 1024
RETRY_AFTER_S = 1


def pending(home: Path) -> int:
    """Openings that wait in the outbox."""
    return len(list((home / "monitor" / "outbox").glob("evt_*.json")))


def settled(home: Path, n: int = 1) -> bool:
    """Have so many events left the pending ones, and does none wait?"""
    return len(list((home / "monitor" / "outbox" / "delivered").glob("evt_*.json"))) >= n and pending(home) == 0


def misbehaving(home: Path, *script: Misbehaviour) -> tuple[Seen, Receiver]:
    """One incident, told to a receiver that misbehaves by the script and is well afterwards."""
    one_incident(home)
    with receiving(script) as receiver:
        with monitor(home, receiver, **QUICK):
            wait_until(lambda: settled(home), DEADLINE_S, "the event is delivered")
        seen = Seen(incidents=1, pending=pending(home))
        seen.count(receiver)
    return seen, receiver


def _500(answering: Answering) -> int:
    return answering.say(500)


def _429(answering: Answering) -> int:
    return answering.say(429, retry_after=str(RETRY_AFTER_S))


def _410(answering: Answering) -> int:
    return answering.say(410)


def _lost(answering: Answering) -> int:
    return answering.hang_up()


def _huge(answering: Answering) -> int:
    return answering.pour(HUGE_BYTES)


def _late(answering: Answering) -> int:
    """Longer than the attempt may take; ends when the caller hangs up."""
    answering.connection.settimeout(DEADLINE_S)
    answering.connection.recv(1)
    return answering.hang_up()


def errors(home: Path) -> Seen:
    return misbehaving(home, _500, _500)[0]


def timeout(home: Path) -> Seen:
    return misbehaving(home, _late)[0]


def lost_answer(home: Path) -> Seen:
    return misbehaving(home, _lost)[0]


def too_many(home: Path) -> Seen:
    seen, receiver = misbehaving(home, _429)
    waited_s = receiver.attempts[1].at_s - receiver.attempts[0].at_s
    seen.expect(waited_s >= RETRY_AFTER_S, f"waited {waited_s:.2f} s of {RETRY_AFTER_S}")
    seen.note = f"waited {waited_s:.2f} s"
    return seen


def gone(home: Path) -> Seen:
    """Told once, never again, also after a restart; the event is kept."""
    one_incident(home)
    with receiving([_410] * 10) as receiver:
        for _ in range(2):
            with monitor(home, receiver, **QUICK) as running:
                wait_until(lambda: running.status()["outbox"]["disabled"], DEADLINE_S, "the receiver is disabled")
        seen = Seen(incidents=1, pending=pending(home))
        seen.count(receiver)
    return seen


def redirect(home: Path) -> Seen:
    """To an address that only this machine reaches: another receiver, which must hear nothing."""
    with receiving() as inside:

        def away(answering: Answering) -> int:
            return answering.say(307, location=inside.url)

        seen, _ = misbehaving(home, away)
        seen.expect(not inside.attempts, "the redirect was followed")
    return seen


def huge_answer(home: Path) -> Seen:
    """10 GB with a 200: the status is the delivery, the rest is not read."""
    one_incident(home)
    with receiving([_huge]) as receiver:
        with monitor(home, receiver, **QUICK) as running:
            before = _memory_bytes(running)
            wait_until(lambda: settled(home), DEADLINE_S, "the event is delivered")
            grown = _memory_bytes(running) - before
        seen = Seen(incidents=1, pending=pending(home))
        seen.count(receiver)
        seen.expect(receiver.written <= TAKEN_BYTES_MAX, f"{receiver.written} bytes were taken")
        seen.expect(grown <= GROWTH_BYTES_MAX, f"the monitor grew by {grown} bytes")
        seen.note = f"{receiver.written / 1e6:.1f} MB left the receiver"
    return seen


def _memory_bytes(running: Monitor) -> int:
    return int(psutil.Process(running.process.pid).memory_info().rss)


def bad_tls(home: Path) -> Seen:
    """Nothing is said to who cannot show who they are; to the same one, vouched for by `ca_file`, everything."""
    one_incident(home)
    vouching, context = certificate(home)
    with receiving(tls=context) as receiver:
        with monitor(home, receiver, **QUICK) as running:
            wait_until(lambda: running.status()["outbox"]["failures"] >= 2, DEADLINE_S, "it was tried")
            told = running.status()["outbox"]["last_error"]
        unheard = not receiver.attempts
        (home / "plumbline.toml").write_text(
            f'[[monitor.receivers]]\nname = "hook"\nkind = "webhook"\nurl = "{receiver.url}"\n'
            f'secret_env = "PLUMBLINE_WEBHOOK_SECRET"\nca_file = "{vouching}"\n'
        )
        with monitor(home, None, **QUICK):
            wait_until(lambda: settled(home), DEADLINE_S, "the event is delivered")
        seen = Seen(incidents=1, pending=pending(home))
        seen.count(receiver)
        seen.expect(unheard, "something was said without a certificate that holds")
        seen.expect("CERTIFICATE_VERIFY_FAILED" in told, f"last error: {told}")
    return seen


def kill_before(home: Path) -> Seen:
    """kill -9 while nobody listens: the event is decided and not sent."""
    one_incident(home)
    port = free_port()
    with monitor(home, None, PLUMBLINE_MONITOR_WEBHOOK_URL=f"http://localhost:{port}/retrain", **QUICK) as running:
        wait_until(lambda: running.status()["outbox"]["failures"] >= 1, DEADLINE_S, "it was tried")
        running.end(signal.SIGKILL)
    with receiving(port=port) as receiver:
        with monitor(home, receiver, **QUICK):
            wait_until(lambda: settled(home), DEADLINE_S, "the event is delivered")
        seen = Seen(incidents=1, pending=pending(home))
        seen.count(receiver)
    return seen


def kill_after(home: Path) -> Seen:
    """kill -9 by the receiver itself, after it read the request and before it answers: sent, and not known to be."""
    one_incident(home)
    victims: list[int] = []

    def kill(answering: Answering) -> int:
        os.kill(wait_until(lambda: victims and victims[0], DEADLINE_S, "the monitor is known"), signal.SIGKILL)
        return answering.say(200)

    with receiving([kill]) as receiver:
        with monitor(home, receiver, **QUICK) as running:
            victims.append(running.process.pid)
            seen = Seen(incidents=1)
            seen.expect(running.process.wait(DEADLINE_S) == -signal.SIGKILL, "the monitor was not killed")
        with monitor(home, receiver, **QUICK):
            wait_until(lambda: settled(home), DEADLINE_S, "the event is delivered")
        seen.pending = pending(home)
        seen.count(receiver)
    return seen


def flapping_hour(home: Path) -> Seen:
    """An hour of flapping, in event time, is one incident."""
    flapping(home)
    with receiving() as receiver:
        with monitor(home, receiver, **QUICK) as running:
            wait_until(lambda: running.status()["log"]["caught_up"], DEADLINE_S, "the hour is read")
            wait_until(lambda: settled(home), DEADLINE_S, "the event is delivered")
        seen = Seen(incidents=1, pending=pending(home))
        seen.count(receiver)
    return seen


def hundred_at_once(home: Path, n: int = 100) -> Seen:
    """A hundred models in breach in the same minute."""
    begun_s = time.monotonic()
    hundred(home, n)
    built_s = time.monotonic()
    with receiving() as receiver:
        with monitor(home, receiver, **QUICK):
            wait_until(lambda: settled(home, n), DEADLINE_S, "all are delivered")
        seen = Seen(incidents=n, pending=pending(home))
        seen.count(receiver)
        seen.note = (
            f"{time.monotonic() - built_s:.1f} s from the start to the last; log built in {built_s - begun_s:.1f} s"
        )
    return seen


def nobody_there(home: Path) -> Seen:
    """Nothing listens for a while; the same port answers later."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    one_incident(home)
    with monitor(home, None, PLUMBLINE_MONITOR_WEBHOOK_URL=f"http://localhost:{port}/retrain", **QUICK) as running:
        wait_until(lambda: running.status()["outbox"]["failures"] >= 2, DEADLINE_S, "it was tried")
        with receiving(port=port) as receiver:
            wait_until(lambda: settled(home), DEADLINE_S, "the event is delivered")
            seen = Seen(incidents=1, pending=pending(home))
            seen.count(receiver)
    return seen


ROWS: tuple[Row, ...] = (
    Row("500, twice", "three posts, one id", errors, posts=3),
    Row("no answer in time", "given up, posted again, one id", timeout, posts=2),
    Row("429 with Retry-After", "posted again, not before", too_many, posts=2),
    Row("410", "posted once, kept, never again, also after a restart", gone, posts=1, pending=1),
    Row("redirect to an inside address", "not followed, posted again", redirect, posts=2),
    Row("answer of 10 GB", "delivered; a bounded part of it is read", huge_answer, posts=1),
    Row("certificate that nobody vouches for", "nothing said; delivered once it is vouched for", bad_tls, posts=1),
    Row("answer lost", "posted again under the same id", lost_answer, posts=2),
    Row("nobody listens", "posted when somebody does", nobody_there, posts=1),
    Row("kill -9 before the send", "posted once, after the restart", kill_before, posts=1),
    Row("kill -9 after the send", "posted twice under one id", kill_after, posts=2),
    Row("flapping for an hour", "one incident, one id, one post", flapping_hour, posts=1),
    Row("100 models in breach at once", "100 ids, 100 posts", hundred_at_once, posts=100),
)
