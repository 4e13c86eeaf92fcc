"""What does every change of the routes take on the command line, how is it made, and what is said of it?

The command works on the files of the home, whether a service runs over it or not: the lock, the generation, the audit log and
what the workers say of themselves are in them, so it is the same change as over the admin API.
"""

import getpass
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
import msgspec

from models.lock_file import LockFile
from models.looking import look_until
from service.commands.output import home_option, json_option, say, settings_of, speaks_plainly
from service.ejected import EjectedFile
from service.route_changes import RouteChanges, RoutesPlan, Waiting, held
from service.routes_audit import Author, Via
from service.routes_change import BY_CHARS_MAX, WAIT_S_MAX, WHY_CHARS_MAX, Order, asked_by
from service.routes_errors import VersionsNotLoaded
from service.routes_file import RoutesFile
from service.wanted import WantedFile

CONFIRM_S = 2.0  # workers look at the routes each routes_poll_s, and say so as often
_OPTIONS = (
    click.option("--generation", type=int, help="Change only when this is still the present generation."),
    click.option("--dry-run", is_flag=True, help="Only say what would change."),
    click.option(
        "--wait",
        "wait_s",
        type=click.FloatRange(0, WAIT_S_MAX),
        default=10.0,
        show_default=True,
        help="Seconds that the workers may take to load what gets a larger share.",
    ),
    click.option("--by", default="", help="Who does it, for the audit log; absent: the user of this shell."),
    click.option("--why", default="", help="The reason, for the audit log."),
    home_option,
    json_option,
)


def changes(command: Callable[..., Order]) -> Callable[..., None]:
    """Makes the order that the command gives; its first parameter is the model."""

    @wraps(command)
    def run(
        model: str,
        *,
        generation: int | None,
        dry_run: bool,
        wait_s: float,
        by: str,
        why: str,
        home: Path | None,
        as_json: bool,
        **own: Any,
    ) -> None:
        order = msgspec.structs.replace(
            command(model, **own), generation=generation, dry_run=dry_run, wait_s=wait_s, by=by, why=why[:WHY_CHARS_MAX]
        )
        plan = _made(model, order, home)
        say(plan, as_json=as_json, text=_text(plan))

    made: Callable[..., None] = click.argument("model")(speaks_plainly(run))
    for option in reversed(_OPTIONS):
        made = option(made)
    return made


def _made(model: str, order: Order, home: Path | None) -> RoutesPlan:
    """Raises VersionsNotLoaded, and what `RouteChanges.attempt` raises."""
    settings = settings_of(home)
    route_changes = RouteChanges(
        routes=RoutesFile(settings.routes_path),
        lock_file=LockFile(settings.lock_path),
        workers_root=settings.workers_root,
        ejected=EjectedFile(settings.ejected_path),
        wanted=WantedFile(settings.wanted_path),
    )
    author = Author(Via.COMMAND, (order.by or getpass.getuser())[:BY_CHARS_MAX], order.why, asked_by(order))
    plan = route_changes.attempt(model, order, author)

    if order.dry_run:
        return plan
    named = held(order, plan)
    waiting = Waiting(route_changes, plan, lambda: route_changes.attempt(model, named, author))

    def tried_again() -> RoutesPlan | None:
        nonlocal plan
        plan = waiting.look()
        return plan if plan.made else None

    if not plan.made and look_until(tried_again, order.wait_s) is None:
        raise VersionsNotLoaded(plan.behind, order.wait_s, plan.reasons)

    def applied() -> RoutesPlan | None:
        nonlocal plan
        plan = route_changes.followed(plan)
        return None if plan.pending else plan

    look_until(applied, CONFIRM_S)
    return plan


def _text(plan: RoutesPlan) -> str:
    lines = [f"generation {plan.generation}{'' if plan.made else ', if it were done'}"]
    lines += [f"  {s.model} {s.arm} {s.version}: {s.before:g} % -> {s.after:g} %" for s in plan.shares]
    for move in plan.moves:
        anew = " (dealt anew)" if move.dealt_anew else ""
        source, target = move.source or "nothing", move.target or "nothing"
        lines.append(f"  {move.percent:g} % of the keys of {move.model} move from {source} to {target}{anew}")
    lines += [f"  {worker} has not loaded {', '.join(refs)}" for worker, refs in plan.behind.items()]
    lines += [f"  {ref}: {reason}" for ref, reason in plan.reasons.items()]
    if plan.applied or plan.pending:
        workers = len(plan.applied) + len(plan.pending)
        pending = f"; not yet: {', '.join(plan.pending)}" if plan.pending else ""
        lines.append(f"  applied by {len(plan.applied)} of {workers} workers{pending}")
    return "\n".join(lines)
