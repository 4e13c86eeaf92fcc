"""The judge of answers: every way in which an answer can be wrong is told, and a right one is not."""

from typing import Any

import pytest

from loadtests.answers import document_of, fault

HEADERS = {"x-request-id": "r1", "x-model-version": "1", "x-model-arm": "stable"}
V1 = {"predictions": [{"label": 0}, {"label": 1}]}
V2 = {"outputs": [{"name": "p", "datatype": "FP32", "shape": [2, 2], "data": [0.1, 0.9, 0.8, 0.2]}]}
REFUSAL = {"error": "…", "code": "invalid_input", "request_id": "r1", "details": [{"at": "/instances/0/country"}]}


def judge(status: int = 200, document: Any = V1, n: int = 2, refused: bool = False, **headers: str) -> str | None:
    names = {key.replace("_", "-"): value for key, value in headers.items()}
    return fault(status, {**HEADERS, **names}, document, request_id="r1", n=n, refused=refused)


@pytest.mark.parametrize("document", [V1, V2], ids=["v1", "v2"])
def test_a_right_answer_has_no_fault(document: Any) -> None:
    assert judge(document=document) is None


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"x_request_id": "other"}, "x-request-id: found 'other'"),
        ({"status": 503, "document": {"error": "queue: full"}}, "status: found 503 queue: full"),
        ({"x_model_version": ""}, "header x-model-version: absent"),
        ({"x_model_arm": ""}, "header x-model-arm: absent"),
        ({"n": 3}, "predictions: found 2, expected 3"),
        ({"n": 3, "document": V2}, "output p: found shape [2, 2], expected 3 rows"),
        ({"document": {"outputs": [{**V2["outputs"][0], "data": [0.1]}]}}, "output p: found shape [2, 2]"),
        ({"document": {"outputs": []}}, "body: found"),
        ({"document": None}, "body: found None"),
        ({"document": "<html>"}, "body: found <html>"),
        ({"document": {"outputs": [{"name": "p"}]}}, "output p: found shape None"),
        ({"document": {"outputs": [{**V2["outputs"][0], "shape": ["2", 2]}]}}, "output p: found shape ['2', 2]"),
        ({"document": {"outputs": ["p"]}}, "output p: found shape p"),
        ({"status": 502, "document": "<html>"}, "status: found 502 <html>, expected 200"),
        ({"status": 502, "document": "<html>", "refused": True}, "status: found 502, expected 400"),
        ({"refused": True}, "status: found 200, expected 400"),
        ({"refused": True, "status": 400, "document": {"error": "no"}}, "error: found"),
    ],
)
def test_each_fault_is_told(wrong: dict[str, Any], told: str) -> None:
    assert told in (judge(**wrong) or "")


def test_the_refusal_of_a_row_that_lacks_a_feature_is_right() -> None:
    assert judge(status=400, document=REFUSAL, refused=True) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, None),
        (b"", None),
        (b'{"a": 1}', {"a": 1}),
        (b"<html>502</html>", "<html>502</html>"),
        (b"\xff{", "\ufffd{"),
    ],
)
def test_an_answer_that_is_no_json_is_its_text(content: bytes | None, said: Any) -> None:
    assert document_of(content) == said
