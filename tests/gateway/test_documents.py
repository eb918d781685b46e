"""Limits on a document's bytes, depth, values and keys, and on the number of reported errors."""

import json
import typing
from collections.abc import Iterator
from types import UnionType
from typing import Any, Union

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from errors import Invalid, Malformed
from gateway import json_limit
from gateway.app import ROUTERS
from gateway.body_limit import rule_of
from gateway.json_limit import MAX_DEPTH, MAX_KEYS, DocumentLimits, check_document
from studio.forms import Form
from studio.jobs.registry import JOB_TYPES
from studio.ports import Studio
from tests.gateway.test_errors import checked
from tests.support.fakes import sign_in

JSON = {"content-type": "application/json"}
LISTS = (list, tuple, set, frozenset)
HUGE = "9" * 5000


def nested(depth: int, inside: str = "1") -> bytes:
    return (b'{"a":' * depth) + inside.encode() + b"}" * depth


def walk(form: type[BaseModel], where: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every field of a form and of the forms in it."""
    for name, field in form.model_fields.items():
        place = f"{where or form.__name__}.{name}"
        yield place, field
        for inner in forms_in(field.annotation):
            yield from walk(inner, place)


def forms_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from forms_in(part)


def lists_in(annotation: Any, metadata: list[Any]) -> Iterator[list[Any]]:
    """The constraints of every list in an annotation."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        yield from lists_in(parts[0], [*metadata, *parts[1:]])
    elif origin in LISTS or annotation in LISTS:
        yield metadata
        for part in parts:
            yield from lists_in(part, [])
    elif origin in (Union, UnionType):
        for part in parts:
            yield from lists_in(part, metadata)
    else:
        for part in parts:
            yield from lists_in(part, [])


def is_bounded(metadata: list[Any]) -> bool:
    """Whether validation stops at the first wrong element and at a maximum length."""
    constraints = [each for one in metadata for each in (one, *getattr(one, "metadata", ()))]
    fails_fast = any(getattr(one, "fail_fast", False) for one in constraints)
    return fails_fast and any(getattr(one, "max_length", None) is not None for one in constraints)


def request_forms() -> set[type[BaseModel]]:
    """The forms of route bodies and job payloads."""
    forms: set[type[BaseModel]] = {kind.form for kind in JOB_TYPES.values()}
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute) and route.body_field is not None:
                forms.update(forms_in(route.body_field.field_info.annotation))
    return forms | set(subforms(Form))


def subforms(form: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for one in form.__subclasses__():
        if not one.__module__.startswith("tests."):
            yield one
            yield from subforms(one)


def test_every_list_of_every_form_ends_at_its_first_error() -> None:
    forms = request_forms()
    assert len(forms) > 20
    bounded_by_place = {
        place: is_bounded(metadata)
        for form in forms
        for place, field in walk(form)
        for metadata in lists_in(field.annotation, field.metadata)
    }
    assert len(bounded_by_place) >= 5
    assert [place for place, bounded in bounded_by_place.items() if not bounded] == []


@pytest.mark.parametrize(
    ("document", "error"),
    [
        (nested(MAX_DEPTH + 1), Malformed),
        (nested(100_000), Malformed),
        (b"[" * 200_000, Malformed),
        (b"[" * 40 + b"]" * 40, Malformed),
        (b'{"a": 1, "b": [{"c": 1, "c": 2}]}', Malformed),
        (b'{"a": 1, "\\u0061": 2}', Malformed),
        (f'{{"a": {HUGE}}}'.encode(), Malformed),
        (json.dumps({str(n): n for n in range(MAX_KEYS + 1)}).encode(), Invalid),
        (json.dumps([[{}] * 100] * 300).encode(), Invalid),
        (b"[" + b"1," * 400_000 + b"1]", Invalid),
    ],
)
def test_what_no_document_of_ours_is(document: bytes, error: type[Exception]) -> None:
    with pytest.raises(error) as refused:
        check_document(document, DocumentLimits())
    assert len(str(refused.value)) < 100


@pytest.mark.parametrize(
    "document",
    [
        nested(MAX_DEPTH), b"", b"{", b"\xff\xfe", b"nul", b'{"a": NaN}', b'"text"',
        json.dumps({str(n): [n] * 100 for n in range(MAX_KEYS)}).encode(),
        ('{"a": "' + ",[{" * 100_000 + '"}').encode(), '{"ä": 1}'.encode("utf-16"),
    ],
)  # fmt: skip
def test_what_is_taken_or_left_to_the_route(document: bytes) -> None:
    check_document(document, DocumentLimits())


def test_the_walk_ends_where_the_bound_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts calls instead of time: a level that is too wide is not searched."""
    looked = 0
    plain = json_limit.containers

    def counting(values: Any) -> list[Any]:
        nonlocal looked
        looked += 1
        return plain(values)

    monkeypatch.setattr(json_limit, "containers", counting)
    with pytest.raises(Invalid):
        check_document(b"[" + b"{}," * 300_000 + b"{}]", DocumentLimits())
    assert looked <= 1


WRONG = {
    "a list of wrong values": {"query": "x", "filters": {"brand": [1] * 20_000}},
    "unknown fields": {"query": "x"} | {f"k{n}": n for n in range(5_000)},
    "wrong values in filters": {"query": "x", "filters": {f"k{n}": n for n in range(5_000)}},
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_document_full_of_errors_is_refused_with_few(
    client: httpx.AsyncClient, name: str
) -> None:
    answer = await client.post("/api/search/text", json=WRONG[name])
    assert answer.status_code in {413, 422}
    assert len(answer.json().get("errors", [])) <= 1
    assert len(answer.content) < 1000


async def test_the_first_wrong_element_is_named_and_no_other(client: httpx.AsyncClient) -> None:
    body = {"query": "x", "filters": {"brand": ["a", *[1] * 90]}}
    problem = checked(await client.post("/api/search/text", json=body), 422)
    assert isinstance(problem["errors"], list)
    assert [error["path"] for error in problem["errors"]] == ["/filters/brand/1"]


async def test_as_many_wrong_fields_as_an_object_may_have(client: httpx.AsyncClient) -> None:
    body = {f"k{n}": n for n in range(MAX_KEYS)}
    problem = checked(await client.post("/api/search/text", json=body), 422)
    assert isinstance(problem["errors"], list)
    assert len(problem["errors"]) == 50


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/api/search/text", 65_536),
        ("/api/search/image", 65_536),
        ("/api/auth/login", 16_384),
        ("/api/auth/register", 16_384),
        ("/api/cv/segmentation", 1_000_000),
    ],
)
async def test_bodies_are_limited_by_route(
    client: httpx.AsyncClient, studio: Studio, path: str, limit: int
) -> None:
    headers = JSON | (await sign_in(client, studio) if "/cv/" in path else {})
    assert rule_of(path).max_bytes == limit
    fitting = b'{"x": "' + b"y" * (limit - 9) + b'"}'
    checked(await client.post(path, content=fitting, headers=headers), 422)
    too_large = await client.post(path, content=fitting + b" ", headers=headers)
    assert str(limit) in str(checked(too_large, 413)["detail"])

    async def in_pieces() -> Any:
        for start in range(0, len(fitting) + 1, 1000):
            yield (fitting + b" ")[start : start + 1000]

    checked(await client.post(path, content=in_pieces(), headers=headers), 413)


@pytest.mark.parametrize(
    "body",
    [nested(40), b"[" * 60_000, b'{"query": "a", "query": "b"}', f'{{"topK": {HUGE}}}'.encode()],
)
async def test_what_no_parser_should_judge_is_malformed(
    client: httpx.AsyncClient, body: bytes
) -> None:
    answer = await client.post("/api/search/text", content=body, headers=JSON)
    checked(answer, 400)
    answer = await client.post(
        "/api/search/text", content=body, headers={"content-type": "A/x+JSON"}
    )
    checked(answer, 400)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/search/similar/x?" + "&".join("a" * 200), 400),
        ("/api/search/similar/x?topK=" + HUGE, 422),
        ("/api/search/similar/" + "x" * 60_000, 404),
        ("/" + "x" * 5_000, 404),
        ("/api/jobs/" + HUGE, 401),
        ("/blobs/" + "x" * 5_000 + "?sig=x", 403),
    ],
)
async def test_addresses_are_bounded_and_not_repeated(
    client: httpx.AsyncClient, path: str, status: int
) -> None:
    answer = await client.get(path)
    checked(answer, status)
    assert len(answer.content) < 3_000


@pytest.mark.parametrize("name", ["Idempotency-Key", "Last-Event-ID", "Range", "Cookie", "Accept",
                                  "X-Request-Deadline-Ms", "traceparent", "If-None-Match",
                                  "Authorization", "X-Forwarded-For", "Content-Type"])  # fmt: skip
async def test_headers_of_any_text_break_nothing(
    client: httpx.AsyncClient, studio: Studio, name: str
) -> None:
    headers = await sign_in(client, studio)
    for value in (
        HUGE * 10,
        ";" * 50_000,
        "a=b; " * 10_000,
        "\xe4" * 1000,
        '"' * 50_000,
        "Bearer ",
    ):
        raw = [(name.lower().encode(), value.encode("latin-1"))]
        others = [(key.lower().encode(), text.encode()) for key, text in headers.items()]
        for path in ("/api/auth/me", "/api/search/similar/x", "/api/files", "/blobs/a"):
            answer = await client.get(path, headers=raw + others)
            assert answer.status_code < 500, (path, value[:20])
        body = {"filename": "x", "contentType": "image/jpeg", "sizeBytes": 1, "purpose": "selfie"}
        answer = await client.post("/api/files/presign", json=body, headers=raw + others)
        assert answer.status_code < 500, value[:20]


async def test_bodies_that_are_arriving_hold_little_memory_and_no_place(
    client: httpx.AsyncClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.body_limit.UNFINISHED_BYTES_EACH", 10_000)

    async def in_pieces(count: int) -> Any:
        yield b'{"query": "'
        for _ in range(count):
            yield b"x" * 1000
        yield b'"}'

    url = "/api/search/text"
    problem = checked(await client.post(url, content=in_pieces(20), headers=JSON), 503)
    assert "arriving" in str(problem["detail"])
    answer = await client.post(url, content=in_pieces(0), headers=JSON)
    assert answer.status_code == 422  # an empty query, as a whole

    app: FastAPI = client._transport.app  # type: ignore[attr-defined]
    layers = [layer.cls.__name__ for layer in app.user_middleware]  # type: ignore[attr-defined]
    assert layers.index("BodyLimit") < layers.index("Concurrency")
