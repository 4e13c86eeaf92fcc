"""A loaded version with everything that the request path wants precomputed."""

from collections.abc import Mapping
from typing import Any

from models.contract import Contract
from models.lock import Pin
from models.pool import LoadedVersion
from models.session import Session
from models.tensors import Array
from service.featurelog.privacy import PrivateBlocks, private_features, private_tensors
from service.featurelog.record import Schema
from service.in_flight import mark_of
from service.rows import BlockPlan, InputPlan, Inputs, Matrix, OutputPlan, PlainTensors, Table, whole_tensor


class ServedVersion:
    """One version as requests see it; immutable after construction, shared by all requests."""

    __slots__ = (
        "__weakref__",
        "_inputs",
        "blocks",
        "codecs",
        "contract",
        "features",
        "floats",
        "header",
        "hidden",
        "mark",
        "numbers",
        "outputs",
        "pin",
        "schema",
        "session",
        "used_ns",
        "whole",
    )

    def __init__(self, loaded: LoadedVersion, privacy_key: bytes = b"") -> None:
        """`privacy_key`: of the deployment, where a feature is hashed. Raises ContractInvalid when it is missing."""
        self.pin: Pin = loaded.pin
        self.contract: Contract = loaded.contract
        self.features = tuple(column.name for column in loaded.contract.features)  # of the columns of a row
        self.session: Session = loaded.session
        self.floats = Matrix.fits(self.contract)
        # so no value of a request is anything but a number, unless it is a fault
        self.numbers = (
            self.floats and self.contract.tabular and not any(column.nullable for column in self.contract.features)
        )
        self.whole = whole_tensor(self.contract)
        private = private_features(self.contract.features)
        self.blocks: BlockPlan | PrivateBlocks = (
            BlockPlan(self.contract.features) if private is None else PrivateBlocks(self.contract.features, privacy_key)
        )
        self.hidden = private_tensors(self.contract)
        self._inputs = InputPlan(loaded.contract) if loaded.contract.tabular else None
        self.outputs = OutputPlan(loaded.contract, loaded.pin.ref)
        self.schema = Schema(
            0, self.pin.name, self.pin.version, self.pin.digest, self.blocks.schema(), self.outputs.schema, private
        )
        self.header = self.pin.version.encode()
        self.mark = mark_of(self.pin.digest)
        self.codecs: Mapping[str, Any] = {}
        self.used_ns = 0  # by a request that named it in its path; the only value that changes

    def tensors(self, inputs: Inputs) -> Mapping[str, Array]:
        """The graph's input tensors for a decoded request."""
        if isinstance(inputs, PlainTensors):
            return inputs.arrays
        assert self._inputs is not None  # a Table or Matrix is only decoded for a tabular contract
        if isinstance(inputs, Table):
            return self._inputs.tensors(inputs.rows)
        return self._inputs.of_matrix(inputs.values)

    def __repr__(self) -> str:
        return f"ServedVersion({self.pin.ref} {self.pin.digest[:19]})"
