"""`plumbline log verify`: are log and archive whole, and does the running service count what the log holds?"""

import os
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import click
import httpx
import msgspec

from service.commands.output import FOUND_FAULT, home_option, json_option, settings_of, speaks_plainly
from service.featurelog.archive_audit import ArchiveAudit, audit_archive
from service.featurelog.archive_files import ArchiveFiles
from service.featurelog.counters import behind, counters_of, differences
from service.featurelog.ledger import Audit, audit
from service.presence import ServiceSign, read_sign
from service.settings import Settings

LOOKS_MAX = 3  # what was dropped is told by the next account, within a second
LOOK_AGAIN_S = 1.5
METRICS_TIMEOUT_S = 5.0
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # where to ask a service that listens everywhere
API_KEY = "PLUMBLINE_API_KEY"  # no setting: the key with which a command asks a service that lets nobody in without one


class Compared(NamedTuple):
    """The log beside the counters; `service` empty: nobody could be asked."""

    audit: Audit
    service: str
    differences: tuple[str, ...]
    behind: int

    @property
    def whole(self) -> bool:
        return self.audit.whole and not self.differences


@click.command()
@click.option("--deep", is_flag=True, help="Read every page of the archive too, and check its checksum.")
@home_option
@json_option
@speaks_plainly
def verify(deep: bool, home: Path | None, as_json: bool) -> None:
    """Check every frame and the ledger, the counters of the running service, and the archive's files against their manifest;
    exit code 1 on any gap, damage, difference.

    \b
    plumbline log verify --json
    """
    settings = settings_of(home)
    found, archive = _compare(settings), audit_archive(ArchiveFiles(settings.archive_root), deep=deep)
    whole = found.whole and archive.whole
    if as_json:
        service = {"url": found.service, "differences": list(found.differences), "behind": found.behind}
        told = {**found.audit.as_json(), "service": service, "archive": archive.as_json(), "ok": whole}
        click.echo(msgspec.json.encode(told).decode())
    else:
        _tell(found)
        _tell_archive(archive)
        click.echo("the log is whole" if whole else "the log is NOT whole")
    if not whole:
        raise SystemExit(FOUND_FAULT)


def _compare(settings: Settings) -> Compared:
    looks_left, headers = LOOKS_MAX, _key(settings)
    while True:
        sign = read_sign(settings.service_path, ServiceSign)
        page = _metrics(sign.url, headers) if sign is not None else None
        if sign is None or page is None:
            return Compared(audit(settings.log_root), "", (), 0)
        found = audit(settings.log_root, since_us=sign.started_us)
        after = counters_of(_metrics(sign.url, headers) or "")
        different = tuple(differences(counters_of(page), found.since, after))
        looks_left -= 1
        if not different or not looks_left:
            return Compared(found, sign.url, different, behind(found.since, after))
        time.sleep(LOOK_AGAIN_S)


def _key(settings: Settings) -> dict[str, str]:
    token = settings.admin_token.get_secret_value() if settings.admin_token is not None else ""
    key = os.environ.get(API_KEY, token)
    return {"x-api-key": key} if key else {}


def _metrics(url: str, headers: dict[str, str]) -> str | None:
    """The page of all workers; None where nobody answers, or not to us."""
    asked = httpx.URL(url).join("/metrics") if url else None
    if asked is None:
        return None
    asked = asked.copy_with(host=ANY_ADDRESS.get(asked.host, asked.host))
    try:
        answer = httpx.get(asked, headers=headers, timeout=METRICS_TIMEOUT_S, trust_env=False)
    except httpx.HTTPError:
        return None
    if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        click.echo(f"{url}: asks for an API key; set {API_KEY} to one of the scope read", err=True)
    return answer.text if answer.status_code == httpx.codes.OK else None


def _tell(found: Compared) -> None:
    log = found.audit
    dropped = Counter(log.log_dropped)
    click.echo(f"answered {log.answered} = logged {log.logged} + dropped {dropped.total()} {dict(dropped) or ''}")
    if found.service:
        since = log.since
        logged = sum(n for key, n in since.items() if key[0] == "logged")
        click.echo(f"{found.service} since its start: log {logged} logged, {since.total() - logged} dropped")
    else:
        click.echo("no service of this home answers: held against the writers' last accounts")
    if found.behind:
        click.echo(f"its counters are {found.behind} records behind: killed workers took what they had not published")
    for fault in (*log.gaps, *log.corrupt, *log.differences, *found.differences):
        click.echo(f"  {fault}")


def _tell_archive(archive: ArchiveAudit) -> None:
    if archive.files or not archive.whole:
        click.echo(f"the archive's manifest names {archive.files} files, {archive.rows} rows")
    for fault in archive.faults:
        click.echo(f"  {fault}")
    if archive.unnamed:
        click.echo(
            f"files that the manifest does not name, as a pass leaves them that was cut short: {len(archive.unnamed)}"
        )
    for path in archive.unnamed:
        click.echo(f"  {path}")
