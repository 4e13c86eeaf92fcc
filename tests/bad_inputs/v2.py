"""What is wrong with tensors, as JSON and as binary data beside it."""

from collections.abc import Mapping
from typing import Any

from tests.bad_inputs.row import JSON_LENGTH, TUMOUR, V2, V2_TUMOURS, Bad, beside_json, invalid, malformed, tensor, text

_V2 = 'a JSON object {"inputs": [{"name", "shape", "datatype", "data"}]}'
_BINARY = "JSON of Inference-Header-Content-Length bytes, then the tensors' data"
_TYPES = "FP16, FP32, FP64, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64, BOOL, BYTES"
_SIZED: Mapping[str, Any] = {"data": ..., "parameters": {"binary_data_size": 120}}
_WHOLE, _SHORT = tensor(after=bytes(120), **_SIZED), tensor(after=bytes(100), **_SIZED)
_OTHER = tensor(after=bytes(100), data=..., parameters={"binary_data_size": 100})
_NEGATIVE = tensor(data=..., parameters={"binary_data_size": -1})
_BOTH = tensor(parameters={"binary_data_size": 0})
_AMONG = f"expected the bytes of JSON among the {len(_WHOLE.sent)} of the body"
_NOT_SERVED = "not an extension of this server"
TENSORS = (
    malformed("JSON that ends too early", V2, text("{"), f"ends too early, expected {_V2}"),
    malformed("no inputs", V2, text("{}"), f"found no `inputs`, expected {_V2}"),
    malformed("no name", V2_TUMOURS, tensor(name=...), f"found no `name`, expected {_V2}", "/inputs/0"),
    malformed(
        "a shape of strings",
        V2_TUMOURS,
        tensor(shape=["1"]),
        "found a string, expected an integer",
        "/inputs/0/shape/0",
    ),
    invalid(
        "a datatype that is none",
        V2_TUMOURS,
        tensor(datatype="FLOAT"),
        "/inputs/0/datatype",
        f"found 'FLOAT', expected one of {_TYPES}",
    ),
    invalid(
        "another datatype",
        V2_TUMOURS,
        tensor(datatype="BYTES", data=["a"] * 30),
        "/inputs/0/datatype",
        "found BYTES, expected FP32",
    ),
    invalid(
        "values of another type",
        V2_TUMOURS,
        tensor(data=["a", *TUMOUR[1:]]),
        "/inputs/0/data/0",
        "found a string, expected a number",
    ),
    invalid(
        "null where none may be",
        V2_TUMOURS,
        tensor(data=[None, *TUMOUR[1:]]),
        "/inputs/0/data/0",
        "null, expected a number (not nullable)",
    ),
    invalid(
        "fewer values than the shape says",
        V2_TUMOURS,
        tensor(shape=[2, 30]),
        "/inputs/0/data",
        "30 values, expected 60 for shape [2, 30]",
    ),
    invalid(
        "a size below 1",
        V2_TUMOURS,
        tensor(shape=[-1, 30]),
        "/inputs/0/shape",
        "found [-1, 30], expected the batch first and every size at least 1",
    ),
    invalid("another shape", V2_TUMOURS, tensor(shape=[30]), "/inputs/0/shape", "found [30], expected [n, 30]"),
    invalid(
        "a shape beyond all memory",
        V2_TUMOURS,
        tensor(shape=[2**40, 2**40]),
        "/inputs/0/data",
        f"30 values, expected {2**80} for shape [{2**40}, {2**40}]",
    ),
    invalid(
        "nested otherwise than the shape says",
        V2_TUMOURS,
        tensor(data=[TUMOUR[:29]]),
        "/inputs/0/data",
        "nested otherwise than shape [1, 30] says, or ragged",
    ),
    invalid(
        "an output that is none",
        V2_TUMOURS,
        tensor({"outputs": [{"name": "score"}]}),
        "/outputs/0/name",
        "found 'score', expected each of ['label', 'probabilities'] at most once",
    ),
    invalid(
        "no data",
        V2_TUMOURS,
        tensor(data=...),
        "/inputs/0/data",
        "found neither, expected data or parameters.binary_data_size",
    ),
    invalid(
        "data twice", V2_TUMOURS, _BOTH, "/inputs/0/data", "found both, expected data or parameters.binary_data_size"
    ),
    invalid(
        "shared memory",
        V2_TUMOURS,
        tensor(parameters={"shared_memory_region": "a"}),
        "/inputs/0/parameters/shared_memory_region",
        _NOT_SERVED,
    ),
    invalid(
        "a flag that is none",
        V2_TUMOURS,
        tensor({"parameters": {"binary_data_output": "yes"}}),
        "/parameters/binary_data_output",
        "found a string, expected true or false",
    ),
    Bad(
        "a length of the JSON that is none",
        V2_TUMOURS,
        _WHOLE,
        400,
        "malformed_body",
        f"header inference-header-content-length: found 'ten', {_AMONG}; nothing was done",
        headers={JSON_LENGTH: "ten"},
    ),
    Bad(
        "a length of the JSON beyond the body",
        V2_TUMOURS,
        _WHOLE,
        400,
        "malformed_body",
        f"header inference-header-content-length: found '9999', {_AMONG}; nothing was done",
        headers={JSON_LENGTH: "9999"},
    ),
    malformed(
        "binary data without the header",
        V2_TUMOURS,
        _WHOLE,
        f"found more after its end, at byte {len(_WHOLE.sent) - 120 + 1}, expected {_V2}",
    ),
    malformed(
        "less binary data than told",
        V2_TUMOURS,
        _SHORT,
        f"found 100 bytes after the JSON, 120 by its binary_data_size, expected {_BINARY}",
        headers=beside_json(_SHORT, 100),
    ),
    invalid(
        "binary data of another size",
        V2_TUMOURS,
        _OTHER,
        "/inputs/0/data",
        "100 bytes, expected 120 for FP32 of shape [1, 30]",
        headers=beside_json(_OTHER, 100),
    ),
    invalid(
        "a size that is none",
        V2_TUMOURS,
        _NEGATIVE,
        "/inputs/0/parameters/binary_data_size",
        "found -1, expected a number of bytes, 0 or more",
        headers=beside_json(_NEGATIVE, 0),
    ),
)
