"""Admins' synonyms and rules, and searches that follow them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlmodel import select

from db.tables import AuditLog
from studio.ports import Studio
from studio.search import knowledge
from tests.gateway.routes.test_understanding import ids, search, shop, studio
from tests.support.fakes import sign_in

__all__ = ["shop", "studio"]


async def put_rules(
    client: httpx.AsyncClient, studio: Studio, *rules: dict[str, Any]
) -> dict[str, Any]:
    """Replaces the rules; returns them as the API answers."""
    headers = await sign_in(client, studio, "admin")
    path = "/api/admin/search/rules"
    answer = await client.put(path, json={"rules": list(rules)}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert (await client.get(path, headers=headers)).json() == answer.json()
    body: dict[str, Any] = answer.json()
    return body


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are read for every search, so that the tests need not wait."""
    monkeypatch.setattr(knowledge, "SETTINGS_FRESH_S", -1.0)
    monkeypatch.setattr(knowledge, "SETTINGS_STALE_S", -1.0)


@pytest.mark.usefixtures("shop")
async def test_pinned_products_come_first_and_are_shown_as_such(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    before = await search(client, "red dress")
    assert "p1" not in ids(before) and not any(one["pinned"] for one in before["results"])
    await put_rules(client, studio, {"query": "Red  dress", "pin": ["p1", "p2"]})
    body = await search(client, "red dress", facets=["category"])
    assert ids(body) == ["p1", "p2", "p0"] and body["total"] == 3
    assert [one["pinned"] for one in body["results"]] == [True, True, False]
    assert body["facets"]["category"] == [
        {"value": "dress", "count": 3}, {"value": "shirt", "count": 1},
    ]  # fmt: skip
    assert [one["score"] <= 2 for one in body["results"]] == [True] * 3
    assert ids(await search(client, "red dress", filters={"priceMax": 45})) == ["p1"]
    first = await search(client, "red dress", topK=1)
    second = await search(client, "red dress", topK=2, cursor=first["nextCursor"])
    assert ids(first) + ids(second) == ["p1", "p2", "p0"]
    assert ids(await search(client, "blue dress")) == ["p1"]


@pytest.mark.usefixtures("shop")
async def test_hidden_products_are_neither_counted_nor_shown(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    await put_rules(client, studio, {"category": "Dress", "hide": ["p0"], "bury": ["p1"]})
    body = await search(client, "dress", facets=["attributes.colour"])
    assert ids(body) == ["p2", "p1"] and body["total"] == 2
    assert {one["value"]: one["count"] for one in body["facets"]["attributes.colour"]} == {
        "red": 1, "blue": 1,
    }  # fmt: skip
    body = await search(client, "dress", understand=False, filters={"category": "dress"})
    assert "p0" not in ids(body)
    answer = await client.get("/api/search/similar/p3")
    assert "p0" in ids(answer.json())  # not within the category


@pytest.mark.usefixtures("shop")
async def test_rules_hold_between_their_dates(client: httpx.AsyncClient, studio: Studio) -> None:
    now = datetime.now(UTC)
    past, coming = (now - timedelta(hours=1)).isoformat(), (now + timedelta(hours=1)).isoformat()
    await put_rules(
        client,
        studio,
        {"query": "dress", "hide": ["p0"], "from": coming},
        {"query": "dress", "hide": ["p1"], "until": past},
        {"query": "dress", "hide": ["p2"], "from": past, "until": coming},
    )
    assert sorted(ids(await search(client, "dress"))) == ["p0", "p1"]


@pytest.mark.usefixtures("shop")
async def test_a_page_after_a_change_of_the_rules_is_refused(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    first = await search(client, "dress", topK=1)
    await put_rules(client, studio, {"query": "dress", "pin": ["p2"]})
    form = {"query": "dress", "topK": 1, "cursor": first["nextCursor"]}
    answer = await client.post("/api/search/text", json=form)
    assert answer.status_code == 409, answer.text


@pytest.mark.usefixtures("shop")
async def test_synonyms_of_the_shop_find_its_products(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio, "admin")
    path = "/api/admin/search/synonyms"
    assert (await client.get(path, headers=headers)).json() == {"synonyms": []}
    body = {"synonyms": [["frock", "dress"], ["plimsoll", "shoe"]]}
    answer = await client.put(path, json=body, headers=headers)
    assert (answer.status_code, answer.json()) == (200, body)
    results = (await search(client, "frock", words=1.0))["results"]
    assert {one["id"] for one in results[:3]} == {"p0", "p1", "p2"}
    assert results[2]["score"] > results[3]["score"]


@pytest.mark.parametrize(
    "rule",
    [
        {"pin": ["a"]},
        {"query": "x", "category": "y", "pin": ["a"]},
        {"query": "x"},
        {"query": "x", "pin": ["a"], "hide": ["a"]},
        {"query": "x", "pin": ["a"], "from": "2026-01-02T00:00:00Z",
         "until": "2026-01-01T00:00:00Z"},
        {"query": "x", "pin": ["a"], "from": "2026-01-02T00:00:00"},
        {"query": " ", "pin": ["a"]},
        {"query": "x", "pin": ["a"] * 51},
        {"query": "x", "pin": ["a"], "boost": 2},
    ],
)  # fmt: skip
async def test_rules_that_say_nothing_or_two_things_are_refused(
    client: httpx.AsyncClient, studio: Studio, rule: dict[str, Any]
) -> None:
    headers = await sign_in(client, studio, "admin")
    answer = await client.put("/api/admin/search/rules", json={"rules": [rule]}, headers=headers)
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("groups", [[["a"]], [[" ", "b"]], [["a", "b"]] * 1001, "a"])
async def test_synonyms_have_bounds(client: httpx.AsyncClient, studio: Studio, groups: Any) -> None:
    headers = await sign_in(client, studio, "admin")
    path = "/api/admin/search/synonyms"
    answer = await client.put(path, json={"synonyms": groups}, headers=headers)
    assert answer.status_code == 422, answer.text


async def test_every_change_is_in_the_audit_log_and_only_admins_make_one(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    await put_rules(client, studio, {"query": "x", "pin": ["a"]})
    async with studio.database.read() as session:
        query = select(AuditLog).where(AuditLog.action == "SEARCH_RULES")
        row = (await session.exec(query)).one()
    assert row.detail == {"count": 1} and row.actor_id is not None
    merchant = await sign_in(client, studio, "merchant")
    for name in ("rules", "synonyms"):
        answer = await client.put(f"/api/admin/search/{name}", json={name: []}, headers=merchant)
        assert answer.status_code == 403
