"""What is wrong with an answer? None, or the sentence for the report."""

import json
from collections.abc import Mapping
from typing import Any

REQUEST_ID = "x-request-id"
SERVED_BY = ("x-model-version", "x-model-arm")


def document_of(content: bytes | None) -> Any:
    """What an answer says: None where it is empty, its text where it is no JSON, as a proxy's page is."""
    try:
        return json.loads(content) if content else None
    except ValueError:
        return (content or b"").decode(errors="replace")


def fault(
    status: int, headers: Mapping[str, str], document: Any, *, request_id: str, n: int, refused: bool
) -> str | None:
    """Judges a predict answer: status, echoed id, the version that served it, and one prediction a row."""
    if headers.get(REQUEST_ID) != request_id:
        return f"{REQUEST_ID}: found {headers.get(REQUEST_ID)!r}, expected {request_id!r}"
    if refused:
        return _refusal(status, document)
    if status != 200:
        return f"status: found {status} {_sentence(document)}, expected 200"
    if absent := [name for name in SERVED_BY if not headers.get(name)]:
        return f"header {absent[0]}: absent, expected the version and arm that answered"
    return _rows(document, n)


def _refusal(status: int, document: Any) -> str | None:
    if status != 400:
        return f"status: found {status}, expected 400 for a row that lacks a feature"
    if not (isinstance(document, dict) and document.get("code") and document.get("details")):
        return f"error: found {document!r}, expected error, code, request_id and details"
    return None


def _rows(document: Any, n: int) -> str | None:
    match document:
        case {"predictions": [*predictions]}:
            return None if len(predictions) == n else f"predictions: found {len(predictions)}, expected {n}"
        case {"outputs": [_, *_] as outputs}:
            wrong = [one for one in outputs if not _is_of(one, n)]
            if not wrong:
                return None
            return f"output {_of(wrong[0], 'name')}: found shape {_of(wrong[0], 'shape')}, expected {n} rows"
        case _:
            return f"body: found {str(document)[:200]}, expected predictions or outputs"


def _is_of(output: Any, n: int) -> bool:
    match output:
        case {"shape": [int() as rows, *rest], "data": [*data]} if all(isinstance(length, int) for length in rest):
            return rows == n and len(data) == _cells([rows, *rest])
        case _:
            return False


def _of(output: Any, name: str) -> Any:
    return output.get(name) if isinstance(output, dict) else str(output)[:200]


def _cells(shape: list[int]) -> int:
    n = 1
    for length in shape:
        n *= length
    return n


def _sentence(document: Any) -> str:
    return str(document.get("error", "")) if isinstance(document, dict) else str(document or "")[:200]
