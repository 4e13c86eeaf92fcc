"""How are receivers put together: settings in, one courier a receiver out, over one desk."""

import asyncio
import binascii
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import time

import httpx
import structlog
from standardwebhooks.webhooks import EmptyWebhookSecretError

from monitoring.courier import Courier
from monitoring.delivery import Backoff
from monitoring.dispatch.book import Book
from monitoring.dispatch.desk import Desk, counted
from monitoring.dispatch.facts import Facts
from monitoring.dispatch.hands_file import HandsFile
from monitoring.dispatch.receiver import Kind, Receiver
from monitoring.dispatch.receiver_settings import ReceiverSettings
from monitoring.dispatch.status import ReceiverStatus
from monitoring.errors import SettingsInvalid
from monitoring.labels.rise import Rise
from monitoring.outbox import FOLDER, Outbox
from monitoring.settings import Settings
from monitoring.status import OutboxStatus
from monitoring.webhook import HttpSender, is_loopback_host

WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Mailroom:
    """All couriers of a monitor, their senders, and what they share."""

    home: Path
    desk: Desk
    hands: HandsFile
    couriers: tuple[Courier, ...]
    senders: tuple[HttpSender, ...]

    def offer(self, event_ids: tuple[str, ...]) -> None:
        """Call it from the couriers' event loop."""
        for courier in self.couriers:
            courier.offer(event_ids)

    def wake(self) -> None:
        """Call it from the couriers' event loop."""
        for courier in self.couriers:
            courier.wake()

    def tasks(self) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(courier.run()) for courier in self.couriers]

    async def close(self) -> None:
        for sender in self.senders:
            await sender.close()

    def status(self) -> OutboxStatus:
        """Sums over the receivers, and each of them; may be asked from any thread."""
        outbox, each = self.desk.outbox, [courier.status for courier in self.couriers]
        first = self.couriers[0] if self.couriers else None
        failed = [one.last_error for one in each if one.last_error]
        return OutboxStatus(
            receiver=None if first is None else httpx.URL(first.url).host,
            pending=len(outbox.pending),
            kept=len(outbox.delivered),
            refused=outbox.refused + sum(self.desk.refused.copy().values()),
            attempts=sum(one.attempts for one in each),
            delivered=sum(one.delivered for one in each),
            failures=sum(one.failures for one in each),
            last_error=failed[-1] if failed else "",
            disabled=any(one.disabled for one in each),
            receivers=tuple(map(self._of, self.couriers)),
            silences=self._silences(),
        )

    def _of(self, courier: Courier) -> ReceiverStatus:
        events: dict[str, int] = {}
        whys: dict[str, dict[str, int]] = {"held": {}, "withheld": {}}
        for (state, why), n in counted(self.desk.book.all(), courier.receiver.name).items():
            events[state] = events.get(state, 0) + n
            if state in whys:
                whys[state][why] = n
        status = courier.status
        return ReceiverStatus(
            name=courier.receiver.name,
            kind=courier.receiver.kind.value,
            attempts=status.attempts,
            delivered=status.delivered,
            failures=status.failures,
            refused=self.desk.refused.get(courier.receiver.name, 0),
            last_error=status.last_error,
            disabled=status.disabled,
            events=events,
            **whys,
        )

    def _silences(self) -> int:
        try:
            return len(self.hands.hands().active(time()))
        except OSError:
            return 0


def mailroom(
    settings: Settings, outbox: Outbox, open_incidents: Callable[[], frozenset[str]], rise: Callable[[Facts], Rise]
) -> Mailroom:
    """`open_incidents` and `rise` are asked for what is so now. Raises SettingsInvalid."""
    monitor = settings.home / "monitor"
    hands = HandsFile(monitor)
    terms = list(_terms(settings))
    desk = Desk(
        outbox=outbox,
        book=Book(monitor / FOLDER, outbox),
        receivers=tuple(receiver for receiver, _, _ in terms),
        policy=settings.policy(),
        hands=hands.hands,
        rise=rise,
    )
    if not terms:
        structlog.get_logger().warning("no_receiver", consequence="events wait in the outbox")
    backoff = Backoff(settings.webhook_retry_first_s, settings.webhook_retry_longest_s)
    couriers = tuple(
        Courier(receiver, desk, sender, url, backoff, open_incidents=open_incidents) for receiver, sender, url in terms
    )
    return Mailroom(settings.home, desk, hands, couriers, tuple(sender for _, sender, _ in terms))


def _terms(settings: Settings) -> Iterator[tuple[Receiver, HttpSender, str]]:
    """Every receiver with its sender and url, `webhook_url` first."""
    if settings.webhook_url is not None:
        secret = settings.secret()
        if secret is None:
            raise SettingsInvalid(
                "webhook_url", "no secret", "PLUMBLINE_WEBHOOK_SECRET or webhook_secret_file to sign with"
            )
        sender = _sender(
            settings.webhook_url,
            settings.webhook_timeout_s,
            settings.webhook_allow_private_addresses,
            secret,
            where="webhook secret",
        )
        yield Receiver(name=WEBHOOK, kind=Kind.WEBHOOK), sender, settings.webhook_url
    for one in settings.receivers:
        url = one.address()
        yield one.receiver(), _sender_of(one, url, settings), url


def _sender_of(one: ReceiverSettings, url: str, settings: Settings) -> HttpSender:
    return _sender(
        url,
        one.timeout_s or settings.webhook_timeout_s,
        one.allow_private_addresses,
        one.secret(),
        authorization=one.authorization(),
        headers=one.all_headers(),
        trusted=one.trusted(),
        where=f"receiver {one.name} secret",
    )


def _sender(
    url: str,
    timeout_s: float,
    allowed: bool | None,
    secret: str | None,
    *,
    where: str,
    authorization: str | None = None,
    headers: Mapping[str, str] | None = None,
    trusted: ssl.SSLContext | None = None,
) -> HttpSender:
    try:
        return HttpSender(
            url,
            timeout_s=timeout_s,
            allow_private_addresses=is_loopback_host(httpx.URL(url).host) if allowed is None else allowed,
            secret=secret,
            authorization=authorization,
            headers=headers,
            trusted=trusted,
        )
    except (binascii.Error, EmptyWebhookSecretError) as error:
        raise SettingsInvalid(where, str(error), "`whsec_` and base64") from error
