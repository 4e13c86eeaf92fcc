"""Is this the contract of this graph?"""

from models.contract import Contract
from models.errors import ArtifactRefused, Reason
from models.session import Session


def agree(session: Session, contract: Contract, ref: str) -> None:
    """Raises ArtifactRefused with the tensor that the graph has not, or has otherwise."""
    for side, declared, real in (
        ("input", contract.inputs, session.inputs),
        ("output", contract.outputs, session.outputs),
    ):
        names = {tensor.name: tensor.datatype for tensor in real}
        for tensor in declared:
            if names.get(tensor.name) != tensor.datatype:
                found = names.get(tensor.name, f"no such {side}")
                raise ArtifactRefused(
                    f"{ref}, {side} {tensor.name!r}", found, f"{tensor.datatype} as in contract.json", Reason.LOAD
                )
        if [tensor.name for tensor in declared] != list(names):  # answers are matched with their names by place
            expected = f"those of contract.json, {[tensor.name for tensor in declared]}"
            raise ArtifactRefused(f"{ref}, {side}s", str(list(names)), expected, Reason.LOAD)
