"""Payments as the log has them: records of answered requests, with what the demo model really says."""

from pathlib import Path

import models.demo
from models.contract import Contract
from models.demo.simulator import Row
from models.manifest import CONTRACT, MODEL
from models.session import Session
from service.featurelog.record import Outcome, Request, Schema
from service.rows import BlockPlan, InputPlan, OutputPlan

VERSION = Path(models.demo.__file__).parent / "artefacts" / "payments" / "1"
START_S = 1_767_571_200  # Monday 2026-01-05 00:00 UTC: after the training month


class Traffic:
    """Answered requests of one version."""

    def __init__(self) -> None:
        contract = Contract.decode((VERSION / CONTRACT).read_bytes())
        self._session = Session((VERSION / MODEL).read_bytes(), ref="payments:1")
        self._features, self._inputs = BlockPlan(contract.features), InputPlan(contract)
        self._outputs = OutputPlan(contract, "payments:1")
        self._order = [column.name for column in contract.features]
        digest = "sha256:" + "1" * 64
        self.schema = Schema(0, "payments", "1", digest, self._features.schema(), self._outputs.schema)

    def request(self, at_us: int, drawn: list[Row]) -> Request:
        """One request with these rows."""
        table = [tuple(row[name] for name in self._order) for row in drawn]
        n = len(table)
        outputs = self._outputs.block(self._session.run(self._inputs.tensors(table)), n)
        features = self._features.block(table)
        said = (Outcome.ANSWERED, 200, "", "v1", 0, "payments", "stable", 1, 1)
        return Request(at_us, f"at-{at_us}", *said, n, 0, 10, 20, features, outputs)
