"""Attributes of products, and lists over rows that hold values from before the rules."""

import json
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from db.tables import (
    AuditLog,
    Job,
    Payment,
    Product,
    RegressorVersion,
    TryonJob,
)
from gateway.wire import WireResponse
from settings import Settings
from studio.ports import Studio
from tests.gateway.routes.test_search import product, upload
from tests.support.fakes import picture, sign_in
from tests.support.live import open_live_studio

DEEP: Any = json.loads("[" * 300 + "]" * 300)


@pytest.fixture
async def studio(settings: Settings) -> AsyncIterator[Studio]:
    async with open_live_studio(settings) as opened:
        yield opened


async def put(
    client: httpx.AsyncClient, headers: dict[str, str], file_id: str, attributes: Any
) -> httpx.Response:
    body = product(file_id, 0) | {"attributes": attributes}
    return await client.put("/api/catalog/products/p-1", json=body, headers=headers)


GOOD = {
    "text": "x" * 500, "whole": 2**53, "part": -0.25, "yes": True, "none": [],
    "sizes": ["x" * 500] * 50, "n" * 64: 1,
}  # fmt: skip


@pytest.mark.parametrize("attributes", [GOOD, {f"name-{at}": at for at in range(50)}, {}])
async def test_flat_attributes_are_kept_as_they_are(
    client: httpx.AsyncClient, studio: Studio, attributes: dict[str, Any]
) -> None:
    headers = await sign_in(client, studio, "merchant")
    file_id = await upload(client, headers, picture("red"))
    written = await put(client, headers, file_id, attributes)
    assert written.status_code == 201, written.text
    read = (await client.get("/api/catalog/products/p-1")).json()
    assert read == written.json() and read["attributes"] == attributes


BAD: list[tuple[Any, str]] = [
    ({"a": DEEP}, "/attributes/a"),
    ({"a": {"b": 1}}, "/attributes/a"),
    ({"a": None}, "/attributes/a"),
    ({"a": [1]}, "/attributes/a"),
    ({"a": [["x"]]}, "/attributes/a"),
    ({"a": "x" * 501}, "/attributes/a"),
    ({"a": ["x" * 501]}, "/attributes/a"),
    ({"a": ["x"] * 51}, "/attributes/a"),
    ({"a": 2**53 + 1}, "/attributes/a"),
    ({"a": 1e300}, "/attributes/a"),
    ({"": "x"}, "/attributes//[key]"),
    ({"n" * 65: "x"}, "/attributes/" + "n" * 65 + "/[key]"),
    ({f"name-{at}": None for at in range(51)}, "/attributes"),
    ([["a", 1]], "/attributes"),
]


async def test_other_attributes_are_refused_and_nothing_is_written(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio, "merchant")
    file_id = await upload(client, headers, picture("red"))
    for attributes, path in BAD:
        answer = await put(client, headers, file_id, attributes)
        if attributes == {"a": DEEP}:  # refused as a whole, before any field is read
            assert answer.status_code == 400, answer.text[:500]
        else:
            assert answer.status_code == 422, (path, answer.text[:500])
            assert [one["path"] for one in answer.json()["errors"]] == [path]
        assert (await client.get("/api/catalog/products/p-1")).status_code == 404
    assert (await client.get("/api/catalog/products")).json()["items"] == []


async def test_a_product_that_can_not_be_answered_is_not_written(
    client: httpx.AsyncClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = await sign_in(client, studio, "merchant")
    file_id = await upload(client, headers, picture("red"))
    with monkeypatch.context() as patched:
        patched.setattr(studio.blobs, "sign_get", lambda key: 1 / 0)
        assert (await put(client, headers, file_id, {})).status_code == 500
    assert (await client.get("/api/catalog/products/p-1")).status_code == 404


async def put_old_rows(client: httpx.AsyncClient, studio: Studio) -> dict[str, str]:
    """A merchant who is an admin now, with a row of each kind that is older than the bounds."""
    headers = await sign_in(client, studio, "admin")
    owner_id = UUID((await client.get("/api/auth/me", headers=headers)).json()["id"])
    file_id = await upload(client, headers, picture("red"))
    assert (await put(client, headers, file_id, {"size": "M"})).status_code == 201
    body = product(file_id, 1) | {"attributes": {"size": "M"}}
    await client.put("/api/catalog/products/p-2", json=body, headers=headers)
    async with studio.database.transaction() as session:
        old = await session.get(Product, "p-1")
        assert old is not None
        old.attributes = {"deep": DEEP, "size": "M", "long": "x" * 501, "nothing": None}
        for result in ({"deep": DEEP, "total": 1}, {"total": 2}):
            session.add(Job(type="note", owner_id=owner_id, state="succeeded", result=result))
        for params in ({"deep": DEEP, "steps": 4}, {"steps": 5}):
            session.add(
                TryonJob(
                    user_id=owner_id, person_key="a/b.jpg", garment_key="a/c.jpg", params=params,
                    seed=1, request_id="r",
                )
            )  # fmt: skip
        for detail in ({"deep": DEEP, "why": "old"}, {"why": "new"}):
            session.add(AuditLog(action="OLD", detail=detail))
        for name, metrics in (("v1", {"deep": DEEP, "mae": 1.0}), ("v2", {"mae": 2.0})):
            session.add(
                RegressorVersion(
                    version=name, owner_id=owner_id, embedder_version="e", status="ready",
                    metrics=metrics,
                )
            )  # fmt: skip
        units = [{"items": [{"name": "a", "deep": DEEP}]}]
        payloads: tuple[dict[str, Any], ...] = (
            {"request": {"purchase_units": units}},
            {"request": {"purchase_units": [{}, {}]}},  # two where there is always one
            {"payer": {"name": {"given_name": "nested"}}},
            {},
        )
        for payload in payloads:
            session.add(
                Payment(
                    user_id=owner_id, status="CREATED", amount=Decimal(1), currency="EUR",
                    request_id="r", payload=payload,
                )
            )  # fmt: skip
    return headers


async def test_no_row_takes_a_list_away(client: httpx.AsyncClient, studio: Studio) -> None:
    headers = await put_old_rows(client, studio)
    expected: dict[str, tuple[str, list[Any]]] = {
        "/api/catalog/products": ("attributes", [{"size": "M"}, {"size": "M"}]),
        "/api/jobs": ("result", [{"total": 1}, {"total": 2}]),
        "/api/cv/tryons": ("params", [{"steps": 4}, {"steps": 5}]),
        "/api/admin/audit?action=OLD": ("detail", [{"why": "new"}, {"why": "old"}]),
        "/api/analytics/versions": ("metrics", [{"mae": 1.0}, {"mae": 2.0}]),
        "/api/admin/payments": ("items", [[], [{"name": "a"}]]),
    }
    for path, (field, values) in expected.items():
        answer = await client.get(path, headers=headers)
        assert answer.status_code == 200, (path, answer.text)
        assert sorted((one[field] for one in answer.json()["items"]), key=str) == values, path
    for path in ("/api/jobs", "/api/cv/tryons"):
        for one in (await client.get(path, headers=headers)).json()["items"]:
            assert (await client.get(f"{path}/{one['id']}", headers=headers)).status_code == 200
    assert (await client.get("/api/catalog/products/p-1")).json()["attributes"] == {"size": "M"}


async def test_a_document_that_python_can_not_read_is_shown_empty(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await put_old_rows(client, studio)
    nested = text(
        "UPDATE product SET attributes = jsonb_build_object('a', "
        "(repeat('[', 3000) || repeat(']', 3000))::jsonb) WHERE id = 'p-1'"
    )
    async with studio.database.transaction() as session:
        await session.exec(nested)  # type: ignore[call-overload]
    answer = await client.get("/api/catalog/products", headers=headers)
    assert answer.status_code == 200, answer.text
    assert [one["attributes"] for one in answer.json()["items"]] == [{"size": "M"}, {}]


def answers(model: type[WireResponse] = WireResponse) -> Iterator[type[WireResponse]]:
    """Every form of an answer."""
    for one in model.__subclasses__():
        yield one
        yield from answers(one)


def test_every_answer_that_shows_a_document_bounds_it() -> None:
    """A JSONB column that is answered without `Document` could take its list away."""
    described = {
        f"{model.__name__}.{name}": f"{field.annotation!r} {field.metadata!r}"
        for model in answers()
        for name, field in model.model_fields.items()
    }
    documents = {name: text for name, text in described.items() if "Any" in text}
    unbounded = {
        name
        for name, text in documents.items()
        if not any(bound in text for bound in ("shown_document", "check_value"))
    }
    assert unbounded == set()
    assert documents.keys() >= {
        "JobResponse.result",
        "AuditResponse.detail",
        "TryOnRecordResponse.params",
    }
