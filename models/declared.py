"""What is the contract of a graph of which nothing is known but itself?

Law: the same graph gives the same bytes, so a version whose source has no contract keeps its digest wherever it is fetched.
"""

from models.binding import width
from models.contract import OUTPUT_COLUMNS_MAX, Column, Contract, Tensor
from models.session import GraphTensor, Session
from models.tensors import kind_of_tensor


def contract_of_graph(session: Session, label: str | None = None) -> Contract:
    """Inputs of one column are features by their names; matrices and higher ranks have no column meaning."""
    features = [tensor for tensor in session.inputs if width(tensor) == 1]
    outputs = {tensor.name: output_names(tensor, tensor.shape) for tensor in session.outputs}
    return Contract(
        features=tuple(Column(name=tensor.name, kind=kind_of_tensor(tensor.datatype)) for tensor in features),
        inputs=tuple(
            declared_tensor(tensor, (tensor.name,) if tensor in features else ()) for tensor in session.inputs
        ),
        outputs=tuple(declared_tensor(tensor, outputs[tensor.name]) for tensor in session.outputs),
        output_columns=tuple(
            Column(name=name, kind=kind_of_tensor(tensor.datatype))
            for tensor in session.outputs
            for name in outputs[tensor.name]
        ),
        label=label,
    )


def output_names(tensor: GraphTensor, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Column names of an output of this shape; none for what is too wide, of higher rank or of unknown width."""
    match shape:
        case (_,) | (_, 1):
            return (tensor.name,)
        case (_, k) if 1 < k <= OUTPUT_COLUMNS_MAX:
            return tuple(f"{tensor.name}[{i}]" for i in range(k))
        case _:
            return ()


def declared_tensor(tensor: GraphTensor, columns: tuple[str, ...]) -> Tensor:
    """A tensor of the graph as a contract writes it."""
    return Tensor(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape, columns=columns)
