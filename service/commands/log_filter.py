"""Which records does a person want to see?"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import click
import duckdb

from service.commands.log_options import model_option, version_option
from service.featurelog.chunk import Run
from service.featurelog.columns import parts
from service.featurelog.readable import readable
from service.featurelog.record import Outcome

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    model_option,
    version_option,
    click.option("--arm", type=click.Choice(["stable", "canary", "pinned"]), help="Only what was routed to this arm."),
    click.option("--outcome", type=click.Choice([one.value for one in Outcome]), help="Only requests that ended so."),
    click.option("--code", help="Only requests that were refused with this machine word."),
    click.option("--request-id", help="Only this request, its shadows and its labels."),
    click.option(
        "--where", help="A condition of SQL on columns, features and outputs: \"amount > 100 and country = 'DE'\"."
    ),
)


def filter_options(command: Command) -> Command:
    """The options whose values make a Filter; their names are its fields."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


class Where:
    """A condition on rows; a record is wanted when one of its rows fulfils it."""

    def __init__(self, condition: str) -> None:
        """Raises duckdb.Error where it is no condition at all."""
        self._condition = condition
        self._connection = duckdb.connect(":memory:", config={"enable_external_access": False})
        self._connection.extract_statements(f"SELECT 1 WHERE ({self._condition})")
        self._bound, self._refusal = False, ""

    def matching(self, run: Run, model: str | None) -> set[int]:
        """Which records, by seq. Rows of a model that lacks a column of the condition do not fulfil it."""
        found: set[int] = set()
        for part in parts(run):
            if model is not None and part.model != model:
                continue
            self._connection.register("part", part.rows)
            names = "?::VARCHAR AS model, ?::VARCHAR AS version, " if part.model else ""
            sql = f"SELECT DISTINCT seq FROM (SELECT {names}* FROM part) WHERE ({self._condition})"
            try:
                rows = self._connection.execute(sql, [part.model, part.version] if part.model else []).fetchall()
            except duckdb.BinderException as error:
                self._refusal = self._refusal or str(error)
                continue
            self._bound = True
            found.update(seq for (seq,) in rows)
        return found

    @property
    def unfit(self) -> str:
        """What DuckDB said, where no model so far has the condition's columns."""
        return "" if self._bound else self._refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """None is everything."""

    model: str | None = None
    version: str | None = None
    arm: str | None = None
    outcome: str | None = None
    code: str | None = None
    request_id: str | None = None
    where: Where | None = None
    from_us: int | None = None
    to_us: int | None = None

    @classmethod
    def of(cls, *, where: str | None, **given: Any) -> "Filter":
        return cls(where=None if where is None else Where(where), **given)

    def records(self, run: Run) -> Iterator[dict[str, Any]]:
        """The wanted records of a run as plain objects."""
        matching = None if self.where is None else self.where.matching(run, self.model)
        for record in readable(run):
            if (matching is None or record["seq"] in matching) and self._wants(record):
                yield record

    def _wants(self, record: Mapping[str, Any]) -> bool:
        for name in ("model", "version", "arm", "outcome", "code", "request_id"):
            wanted = getattr(self, name)
            if wanted is not None and record.get(name) != wanted:
                return False
        at_us = record["at_us"]
        return (self.from_us is None or at_us >= self.from_us) and (self.to_us is None or at_us < self.to_us)
