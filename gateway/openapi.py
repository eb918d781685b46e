"""The OpenAPI document: summaries from docstrings, and every error answer as one component."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from gateway.deadline import describe_header
from gateway.problem import FIELD_ERROR_SCHEMA, MEDIA_TYPE, PROBLEM_SCHEMA

METHODS = frozenset({"get", "put", "post", "patch", "delete"})
DESCRIPTIONS = {
    "400": "The request is malformed",
    "401": "No valid token or key",
    "403": "The account's role does not allow it",
    "404": "There is no such thing, or it is another account's",
    "409": "It conflicts with the present state, or the Idempotency-Key was used otherwise",
    "413": "The body is too large, or a quota is used up",
    "422": "A field is wrong; `errors` names each",
    "429": "Too many requests; `Retry-After` says when to come back",
    "503": "A part of the studio is saturated or down; `Retry-After` says when to come back",
    "504": "The deadline of the request has passed",
    "4XX": "The request was refused",
    "5XX": "The studio failed",
}
ALWAYS = ("429", "4XX", "503", "504", "5XX")
WRITES = frozenset({"put", "post", "patch", "delete"})

FASTAPI_ERRORS = frozenset({"HTTPValidationError", "ValidationError"})
"""What FastAPI documents as the answer 422; the studio answers a problem document."""

Document = dict[str, Any]


def operation_id(route: APIRoute) -> str:
    """The name of an operation, which clients use for their functions: that of its handler."""
    return route.name


def build_document(app: FastAPI) -> Document:
    """The document of all routes; FastAPI builds it once, so this does not change its parts."""
    document = describe_header(app.openapi())
    components = document.get("components", {})
    return document | {
        "paths": {
            path: {
                method: describe(path, method, operation) if method in METHODS else operation
                for method, operation in operations.items()
            }
            for path, operations in document["paths"].items()
        },
        "components": components
        | {
            "schemas": {
                name: schema
                for name, schema in components.get("schemas", {}).items()
                if name not in FASTAPI_ERRORS
            }
            | {"Problem": PROBLEM_SCHEMA, "FieldError": FIELD_ERROR_SCHEMA},
            "responses": {component_of(status): response_of(status) for status in DESCRIPTIONS},
        },
    }


def describe(path: str, method: str, operation: Document) -> Document:
    """An operation with its summary, the rest of its description, and its error answers."""
    summary, _, rest = operation.get("description", "").partition("\n\n")
    first, dot, more = " ".join(summary.split()).partition(". ")
    rest = "\n\n".join(part for part in (more if dot else "", rest) if part)
    errors = {
        status: {"$ref": f"#/components/responses/{component_of(status)}"}
        for status in error_statuses(path, method, operation)
    }
    own = {status: one for status, one in operation["responses"].items() if status != "422"}
    described = operation | {
        "summary": first.rstrip("."),
        "responses": errors | own,
    }
    described.pop("description", None)
    return described | ({"description": rest} if rest else {})


def error_statuses(path: str, method: str, operation: Document) -> Iterator[str]:
    """The statuses of errors that an operation may answer."""
    if operation.get("parameters") or "requestBody" in operation:
        yield from ("400", "422")
    if operation.get("security"):
        yield from ("401", "403")
    if "{" in path or "requestBody" in operation:
        yield "404"
    if method in WRITES:
        yield from ("409", "413") if "requestBody" in operation else ("409",)
    yield from ALWAYS


def component_of(status: str) -> str:
    """The name of the component that describes a status: "NotFound" is that of 404."""
    if not status.isdigit():
        return "ClientError" if status == "4XX" else "ServerError"
    return HTTPStatus(int(status)).phrase.replace(" ", "")


def response_of(status: str) -> Document:
    """The component that describes a status: a problem document."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": DESCRIPTIONS[status], "content": {MEDIA_TYPE: {"schema": schema}}}
