"""How do rows become a request in each protocol, and where do the probabilities stand in its answer?

A row is an object by feature name here; every function that makes a request takes the same rows, so every system is asked the
same question in its own words. Every reader returns one list of probabilities a row.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Row = Mapping[str, float | int | str | None]
Rows = Sequence[Row]
Probabilities = list[list[float]]

JSON_TYPE = "application/json"
HEADER_LENGTH = "inference-header-content-length"
OUTPUT = "probabilities"  # every model of the bench has it, FP32 of shape [n, 2]; what else it returns is not asked for


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent: the same bytes again and again."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": JSON_TYPE})


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; header names are in lower case."""

    body: bytes
    headers: Mapping[str, str]


Ask = Callable[[Rows], Request]
Read = Callable[[Reply], Probabilities]


def _json(document: object) -> Request:
    return Request(json.dumps(document, separators=(",", ":")).encode())


def named(key: str) -> Ask:
    """`{key: [{"f0": …}, …]}`."""
    return lambda rows: _json({key: [dict(row) for row in rows]})


def listed(key: str) -> Ask:
    """`{key: [[…], …]}`: cells in the model's order."""
    return lambda rows: _json({key: [list(row.values()) for row in rows]})


def single(key: str) -> Ask:
    """`{key: {"f0": …}}`: for systems whose request is one row."""
    return lambda rows: _json({key: dict(rows[0])})


def v2_json(rows: Rows) -> Request:
    """One FP32 tensor `input` of shape [n, features]; V2 knows no rows by name."""
    return _json({"inputs": [{**_matrix(rows), "data": _cells(rows).ravel().tolist()}], "outputs": [{"name": OUTPUT}]})


def v2_binary(rows: Rows) -> Request:
    """The same tensor as little-endian bytes behind the JSON; the answer is asked for in the same way."""
    data = _cells(rows).astype("<f4").tobytes()
    tensor = {**_matrix(rows), "parameters": {"binary_data_size": len(data)}}
    asked = {"name": OUTPUT, "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [tensor], "outputs": [asked]}, separators=(",", ":")).encode()
    return Request(head + data, {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(head))})


def _matrix(rows: Rows) -> dict[str, Any]:
    return {"name": "input", "datatype": "FP32", "shape": [len(rows), len(rows[0])]}


def _cells(rows: Rows) -> "np.ndarray[Any, np.dtype[np.float64]]":
    return np.array([list(row.values()) for row in rows], np.float64)


def predictions(reply: Reply) -> Probabilities:
    """V1: a list a row, or an object by output name where the model has several."""
    rows = json.loads(reply.body)["predictions"]
    return [row[OUTPUT] if isinstance(row, dict) else row for row in rows]


def matrix(reply: Reply) -> Probabilities:
    """The array itself."""
    rows: Probabilities = json.loads(reply.body)
    return rows


def v2_outputs(reply: Reply) -> Probabilities:
    tensor = next(output for output in json.loads(reply.body)["outputs"] if output["name"] == OUTPUT)
    return _shaped(np.array(tensor["data"], np.float64), tensor["shape"])


def v2_binary_outputs(reply: Reply) -> Probabilities:
    size = int(reply.headers[HEADER_LENGTH])
    (tensor,) = json.loads(reply.body[:size])["outputs"]
    return _shaped(np.frombuffer(reply.body[size:], "<f4"), tensor["shape"])


def nothing(reply: Reply) -> Probabilities:
    """For the system that answers nothing: only that it does is checked."""
    return []


def _shaped(flat: Any, shape: Sequence[int]) -> Probabilities:
    rows: Probabilities = flat.reshape(shape).tolist()
    return rows
