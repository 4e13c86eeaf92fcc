"""The OpenAPI document is valid, whole, and says of paths, errors and examples what the code does."""

from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from service.errors import RequestError
from service.http.errors import STATUS
from service.http.openapi import document, errors_of
from service.http.operations import OPERATIONS, UNSEEN
from service.http.paths import BENTOML, Target, Verb, parse, templates
from service.http.shapes import schemas
from tests.bad_inputs.row import Bad
from tests.bad_inputs.table import TABLES

Document = dict[str, Any]


@pytest.fixture(scope="module")
def made() -> Document:
    """As a client reads it."""
    decoded: Document = msgspec.json.decode(msgspec.json.encode(document("1.2.3", schemas())))
    return decoded


def operations(made: Document) -> list[tuple[str, str, Document]]:
    return [(path, method, one) for path, methods in made["paths"].items() for method, one in methods.items()]


def test_the_document_is_valid(made: Document) -> None:
    validate(made)
    assert (made["openapi"], made["info"]["version"]) == ("3.1.0", "1.2.3")


def test_every_verb_is_in_it_with_its_path_and_method_and_nothing_else_is(made: Document) -> None:
    found = {(path, method.upper()) for path, method, _ in operations(made)}
    assert found == {(path, target.method) for path, target in templates()}
    assert set(OPERATIONS) == set(Verb) - {Verb.UNKNOWN}
    identifiers = [one["operationId"] for _, _, one in operations(made)]
    assert len(set(identifiers)) == len(identifiers)


@pytest.mark.parametrize(("path", "target"), templates())
def test_every_error_of_a_route_is_declared_under_its_status(made: Document, path: str, target: Target) -> None:
    responses = made["paths"][path][target.method.lower()]["responses"]
    declared: set[tuple[int, str]] = set()
    for status, response in responses.items():
        for part in walk(response["content"]):
            codes = part.get("code", {}).get("enum", ()) if isinstance(part, dict) else ()
            declared |= {(int(status), code) for code in codes}
    assert declared == {(STATUS[error], error.code) for error in errors_of(target)}
    for error in errors_of(target):
        assert error.code in responses[str(STATUS[error])]["description"]


def test_every_error_that_a_client_can_see_is_declared_by_some_route() -> None:
    declared: set[type[RequestError]] = {error for _, target in templates() for error in errors_of(target)}
    assert declared == set(STATUS) - set(UNSEEN)


def test_who_may_come_again_is_told_when_in_the_document_too(made: Document) -> None:
    for _, _, one in operations(made):
        for status, response in one["responses"].items():
            refusal = "allOf" in response["content"].get("application/json", {}).get("schema", {})
            assert ("retry-after" in response["headers"]) == (refusal and status in ("429", "503"))


def test_every_component_is_used_and_every_reference_leads_to_one(made: Document) -> None:
    found = {part["$ref"] for part in walk(made) if isinstance(part, dict) and "$ref" in part}
    components = made["components"]
    there = {
        f"#/components/{kind}/{name}" for kind in ("schemas", "parameters", "headers") for name in components[kind]
    }
    assert found == there


@pytest.mark.parametrize("row", [row for rows in TABLES.values() for row in rows], ids=lambda row: row.what)
def test_every_answer_to_bad_input_is_declared_by_its_route(row: Bad) -> None:
    found = parse(row.path) or BENTOML[row.path]
    target = found.asked(row.method) or found
    if target.verb is not Verb.UNKNOWN:
        declared = {(STATUS[error], error.code) for error in errors_of(target)} | {(200, "")}
        assert (row.status, row.code) in declared


def walk(part: Any) -> list[Any]:
    inside = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return [part, *(below for one in inside for below in walk(one))]


def test_every_example_fits_its_schema(made: Document) -> None:
    checked = 0
    for _, _, one in operations(made):
        for content in one.get("requestBody", {}).get("content", {}).values():
            for example in content.get("examples", {}).values():
                schema = {**content["schema"], "components": made["components"]}
                assert not list(Draft202012Validator(schema).iter_errors(example["value"]))
                checked += 1
    assert checked >= 10
