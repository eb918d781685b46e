"""Every id in every route: another's thing is not there, whatever one's role.

The places where a route takes an id or a URL are read from the OpenAPI document and from the
forms of jobs; one that `PLACES` doesn't know fails the test.
"""

import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from db.tables import RegressorVersion, TryonJob
from gateway.app import create_app
from settings import Settings
from studio.jobs.registry import JOB_TYPES
from studio.ports import Studio
from tests.gateway.resources import (
    DATASET,
    PRODUCT,
    Account,
    create_key,
    insert_job,
    open_account,
    place_order,
    put_product,
    upload,
)
from tests.support.fakes import make_settings, open_client, open_studio
from tests.support.simulator import Simulator

ROLES = ("customer", "merchant", "admin")
Make = Callable[[httpx.AsyncClient, Studio, Account], Awaitable[str]]


@dataclass(frozen=True)
class Owned:
    """A resource that only its owner may name there: how it is made, and the role of its owner."""

    make: Make
    body: Callable[[str], dict[str, Any]] | None = None
    owner: str = "customer"
    admin_may: bool = False


@dataclass(frozen=True)
class Open:
    """The named resource belongs to nobody, with the reason."""

    reason: str


async def make_file(client: httpx.AsyncClient, _: Studio, owner: Account) -> str:
    return (await upload(client, owner))["id"]


async def make_file_url(client: httpx.AsyncClient, _: Studio, owner: Account) -> str:
    """A signed URL lets its holder read the picture, but not use it as an own one."""
    return (await upload(client, owner))["readUrl"]


async def make_dataset(client: httpx.AsyncClient, _: Studio, owner: Account) -> str:
    return (await upload(client, owner, DATASET, contentType="text/csv", purpose="dataset"))["id"]


async def make_product(client: httpx.AsyncClient, _: Studio, owner: Account) -> str:
    return await put_product(client, owner)


async def make_job(_: httpx.AsyncClient, studio: Studio, owner: Account) -> str:
    return await insert_job(studio, owner)


async def make_failed_job(_: httpx.AsyncClient, studio: Studio, owner: Account) -> str:
    return await insert_job(studio, owner, "failed")


async def make_queued_job(_: httpx.AsyncClient, studio: Studio, owner: Account) -> str:
    return await insert_job(studio, owner, "queued")


async def make_sales(client: httpx.AsyncClient, _: Studio, owner: Account) -> str:
    data = f"productId,units\n{await put_product(client, owner)},3\n".encode()
    return (await upload(client, owner, data, contentType="text/csv", purpose="dataset"))["id"]


async def make_regressor(client: httpx.AsyncClient, studio: Studio, owner: Account) -> str:
    version = f"regressor-{uuid4().hex[:12]}"
    async with studio.database.transaction() as session:
        session.add(
            RegressorVersion(
                version=version, owner_id=owner.id, embedder_version="fake-embedder",
                status="ready",
            )
        )  # fmt: skip
    return version


def observed(**name: str) -> dict[str, Any]:
    return {"observations": [name | {"units": 3}]}


async def make_order(client: httpx.AsyncClient, studio: Studio, owner: Account) -> str:
    return await place_order(client, studio, owner)


def job_of(kind: str, **payload: str) -> dict[str, Any]:
    return {"type": kind, "payload": payload}


async def make_key(client: httpx.AsyncClient, _: Studio, owner: Account) -> str:
    return (await create_key(client, owner))["id"]


async def make_session(client: httpx.AsyncClient, _: Studio, owner: Account) -> str:
    """The owner's own session, which is the newest and ends last in these tests."""
    answer = await client.get("/api/auth/sessions", headers=owner.headers)
    return str(answer.json()["items"][0]["id"])


OWN = "own"
"""Stands in a body for one of the caller's own pictures."""
TRYON_PICTURES = ("personUrl", "garmentUrl", "maskUrl")


def tryon_of(name: str, url: str) -> dict[str, Any]:
    """The other pictures are the caller's own."""
    return {"personUrl": OWN, "garmentUrl": OWN, name: url}


def tryon_job_of(name: str, url: str) -> dict[str, Any]:
    return {"type": "tryon", "payload": tryon_of(name, url)}


async def make_tryon(_: httpx.AsyncClient, studio: Studio, owner: Account) -> str:
    async with studio.database.transaction() as session:
        row = TryonJob(
            user_id=owner.id, person_key="uploads/a.jpg", garment_key="uploads/b.jpg", seed=1,
            request_id="a-request",
        )  # fmt: skip
        session.add(row)
    return str(row.id)


PUBLIC = Open("the catalogue is public")
ADMINS = Open("admins only, who may see all of them")
GROUPS = Open("a name that merchants choose for the variants of a product")
BROWSERS = Open("the payer's own browser goes there, the studio never")
PLACES: dict[tuple[str, str], Owned | Open] = {
    ("DELETE /api/auth/keys/{key_id}", "key_id"): Owned(make_key),
    ("DELETE /api/auth/sessions/{session_id}", "session_id"): Owned(make_session),
    ("GET /api/files/{file_id}", "file_id"): Owned(make_file),
    ("DELETE /api/files/{file_id}", "file_id"): Owned(make_file),
    ("POST /api/files/{file_id}/complete", "file_id"): Owned(make_file),
    ("GET /api/jobs/{job_id}", "job_id"): Owned(make_job, admin_may=True),
    ("GET /api/jobs/{job_id}/events", "job_id"): Owned(make_job, admin_may=True),
    ("DELETE /api/jobs/{job_id}", "job_id"): Owned(make_queued_job, admin_may=True),
    ("POST /api/jobs/{job_id}/retry", "job_id"): Owned(make_failed_job, admin_may=True),
    ("POST /api/jobs import-catalog", "fileId"): Owned(
        make_dataset, lambda id: job_of("import-catalog", fileId=id), owner="merchant"
    ),
    ("POST /api/catalog/import", "fileId"): Owned(
        make_dataset, lambda id: {"fileId": id}, owner="merchant"
    ),
    ("PUT /api/catalog/products/{product_id}", "product_id"): Owned(
        make_product, lambda _: PRODUCT, owner="merchant", admin_may=True
    ),
    ("PUT /api/catalog/products/{product_id}", "groupId"): GROUPS,
    ("PATCH /api/catalog/products/{product_id}", "groupId"): GROUPS,
    ("PATCH /api/catalog/products/{product_id}", "product_id"): Owned(
        make_product, lambda _: {"title": "Blue dress"}, owner="merchant", admin_may=True
    ),
    ("PATCH /api/catalog/products/{product_id}", "fileId"): Owned(
        make_file, lambda id: {"images": [{"fileId": id}]}, owner="merchant"
    ),
    ("PATCH /api/catalog/products/{product_id}", "imageUrl"): Owned(
        make_file_url, lambda url: {"imageUrl": url}, owner="merchant"
    ),
    ("DELETE /api/catalog/products/{product_id}", "product_id"): Owned(
        make_product, owner="merchant", admin_may=True
    ),
    ("PUT /api/catalog/products/{product_id}", "fileId"): Owned(
        make_file, lambda id: PRODUCT | {"images": [{"fileId": id}]}, owner="merchant"
    ),
    ("PUT /api/catalog/products/{product_id}", "imageUrl"): Owned(
        make_file_url, lambda url: PRODUCT | {"imageUrl": url}, owner="merchant"
    ),
    ("GET /api/catalog/products/{product_id}", "product_id"): PUBLIC,
    ("GET /api/search/similar/{product_id}", "product_id"): PUBLIC,
    ("POST /api/search/text", "groupId"): PUBLIC,
    ("POST /api/search/image", "groupId"): PUBLIC,
    ("POST /api/search/hybrid", "groupId"): PUBLIC,
    ("POST /api/search/image", "fileId"): Owned(make_file, lambda id: {"fileId": id}),
    ("POST /api/search/image", "imageUrl"): Owned(make_file_url, lambda url: {"imageUrl": url}),
    ("POST /api/search/hybrid", "fileId"): Owned(
        make_file, lambda id: {"fileId": id, "query": "red"}
    ),
    ("POST /api/search/hybrid", "imageUrl"): Owned(
        make_file_url, lambda url: {"imageUrl": url, "query": "red"}
    ),
    ("POST /api/cv/segmentation", "fileId"): Owned(make_file, lambda id: {"fileId": id}),
    ("POST /api/cv/segmentation", "imageUrl"): Owned(make_file_url, lambda url: {"imageUrl": url}),
    ("POST /api/jobs segment-batch", "fileIds"): Owned(
        make_file,
        lambda id: {"type": "segment-batch", "payload": {"fileIds": [id]}},
        owner="merchant",
    ),
    ("POST /api/jobs segment-batch", "imageUrls"): Owned(
        make_file_url,
        lambda url: {"type": "segment-batch", "payload": {"imageUrls": [url]}},
        owner="merchant",
    ),
    ("POST /api/analytics/predict", "fileId"): Owned(
        make_file, lambda id: {"fileId": id}, owner="merchant"
    ),
    ("POST /api/analytics/predict", "imageUrl"): Owned(
        make_file_url, lambda url: {"imageUrl": url}, owner="merchant"
    ),
    ("POST /api/analytics/predict", "productId"): PUBLIC,
    ("POST /api/analytics/eval", "fileId"): Owned(
        make_sales, lambda id: {"fileId": id}, owner="merchant"
    ),
    ("POST /api/analytics/eval", "imageUrl"): Owned(
        make_file_url, lambda url: observed(imageUrl=url), owner="merchant"
    ),
    ("POST /api/analytics/eval", "productId"): PUBLIC,
    ("POST /api/analytics/train", "fileId"): Owned(
        make_dataset, lambda id: {"fileId": id}, owner="merchant"
    ),
    ("POST /api/jobs train-regressor", "fileId"): Owned(
        make_dataset, lambda id: job_of("train-regressor", fileId=id), owner="merchant"
    ),
    ("POST /api/analytics/versions/{version}/activate", "version"): Owned(
        make_regressor, owner="merchant"
    ),
    **{
        ("POST /api/cv/tryon", name): Owned(make_file_url, partial(tryon_of, name))
        for name in TRYON_PICTURES
    },
    **{
        ("POST /api/jobs tryon", name): Owned(make_file_url, partial(tryon_job_of, name))
        for name in TRYON_PICTURES
    },
    ("GET /api/cv/tryons/{tryon_id}", "tryon_id"): Owned(make_tryon),
    ("DELETE /api/cv/tryons/{tryon_id}", "tryon_id"): Owned(make_tryon),
    ("GET /api/paypal/orders/{order_id}", "order_id"): Owned(make_order),
    ("POST /api/paypal/orders/{order_id}/capture", "order_id"): Owned(make_order),
    ("POST /api/paypal/orders", "productId"): PUBLIC,
    ("POST /api/paypal/orders", "returnUrl"): BROWSERS,
    ("POST /api/paypal/orders", "cancelUrl"): BROWSERS,
    ("POST /api/paypal/captures/{capture_id}/refund", "capture_id"): ADMINS,
    ("GET /api/health/{service}", "service"): Open("a part of the studio"),
    ("PATCH /api/admin/users/{user_id}", "user_id"): ADMINS,
    ("DELETE /api/admin/users/{user_id}/sessions", "user_id"): ADMINS,
    ("POST /api/admin/index/versions/{version}/activate", "version"): ADMINS,
}


LISTED: tuple[Make, ...] = (make_file, make_job, make_key, make_regressor, make_tryon)
"""One resource for every list of own resources."""


def names_in(schema: Any, components: dict[str, Any]) -> Iterator[str]:
    """The properties of a JSON schema, at any depth, that name a resource."""
    if isinstance(schema, list):
        for one in schema:
            yield from names_in(one, components)
    if not isinstance(schema, dict):
        return
    if "$ref" in schema:
        yield from names_in(components[schema["$ref"].rpartition("/")[2]], components)
    for name, inner in schema.get("properties", {}).items():
        if name.endswith(("Id", "Ids", "Url", "Urls")):
            yield name
        yield from names_in(inner, components)
    for key in ("items", "anyOf", "oneOf", "allOf", "additionalProperties"):
        yield from names_in(schema.get(key), components)


def places_in(document: dict[str, Any]) -> set[tuple[str, str]]:
    """(operation, name) of every parameter that names a resource."""
    components = document["components"]["schemas"]
    places = set[tuple[str, str]]()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            label = f"{method.upper()} {path}"
            parameters = (one for one in operation.get("parameters", ()) if one["in"] != "header")
            for parameter in parameters:
                if parameter["in"] == "path" or parameter["name"].endswith(("Id", "Url")):
                    places.add((label, parameter["name"]))
            for content in operation.get("requestBody", {}).get("content", {}).values():
                names = names_in(content.get("schema"), components)
                places.update((label, name) for name in names)
    for kind in JOB_TYPES.values():
        form = kind.form.model_json_schema() if kind.form else {}
        names = names_in(form, form.get("$defs", {}))
        places.update((f"POST /api/jobs {kind.name}", name) for name in names)
    return places


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path, simulator: Simulator) -> Settings:
    return make_settings(database_url, redis_url, tmp_path / "blobs", **simulator.settings())


@pytest.fixture
async def studio(settings: Settings) -> Any:
    async with open_studio(settings) as opened:
        yield opened


def test_every_place_is_known(studio: Studio) -> None:
    assert places_in(create_app(studio).openapi()) - set(PLACES) == set()


def test_no_place_is_invented(studio: Studio) -> None:
    unseen = {("POST /api/catalog/import", "fileId")}  # its body is JSON lines, CSV or this
    assert set(PLACES) - places_in(create_app(studio).openapi()) == unseen


OWNED = {place: entry for place, entry in PLACES.items() if isinstance(entry, Owned)}


@dataclass(frozen=True)
class Asker:
    """A caller, with a picture for bodies that need one."""

    headers: dict[str, str]
    file_id: str
    file_url: str = ""
    product_id: str = "another-product"


async def ask(
    client: httpx.AsyncClient, place: tuple[str, str], thing: str, asker: Asker
) -> httpx.Response:
    """Calls the route with this resource, and the caller's own in the other places."""
    (operation, name), entry = place, OWNED[place]
    method, path = operation.split(" ")[:2]
    path = path.replace("{" + name + "}", thing).replace("{product_id}", asker.product_id)
    body = entry.body(thing) if entry.body else None
    if body == PRODUCT:
        body = PRODUCT | {"fileId": asker.file_id}
    text = json.dumps(body).replace(f'"{OWN}"', json.dumps(asker.file_url))
    body = json.loads(text)
    return await client.request(method, path, json=body, headers=asker.headers)


async def open_asker(
    client: httpx.AsyncClient, studio: Studio, role: str, place: tuple[str, str]
) -> Asker:
    account = await open_account(client, studio, role)
    return await with_a_picture(client, account, place)


async def with_a_picture(
    client: httpx.AsyncClient, account: Account, place: tuple[str, str]
) -> Asker:
    """The account with a picture, and with a product of its own to change where it may."""
    file = await upload(client, account)
    asker = Asker(account.headers, file["id"], file["readUrl"])
    if place[0].startswith("PATCH /api/catalog") and account.role != "customer":
        return replace(asker, product_id=await put_product(client, account))
    return asker


@pytest.mark.parametrize("place", OWNED, ids=" ".join)
async def test_anothers_thing_is_not_there(studio: Studio, place: tuple[str, str]) -> None:
    entry = OWNED[place]
    async with open_client(studio) as client:
        owner = await open_account(client, studio, entry.owner)
        thing = await entry.make(client, studio, owner)
        for role in ROLES:
            if role == "admin" and entry.admin_may:
                continue
            answer = await ask(client, place, thing, await open_asker(client, studio, role, place))
            expected = 404 if ROLES.index(role) >= ROLES.index(entry.owner) else 403
            assert answer.status_code == expected, (role, answer.text)
        nobody = await ask(client, place, thing, Asker({}, str(uuid4())))
        assert nobody.status_code in (401, 404), nobody.text
        # Nothing of that changed anything: the owner still can.
        asker = await with_a_picture(client, owner, place)
        answer = await ask(client, place, thing, asker)
        assert answer.status_code < 300, answer.text


async def test_lists_hold_ones_own_only(studio: Studio) -> None:
    """Every list of own resources has entries for their owner and none for others."""
    document = create_app(studio).openapi()
    lists = {
        path
        for path, operations in document["paths"].items()
        if any(one["name"] == "cursor" for one in operations.get("get", {}).get("parameters", ()))
    }
    everyones = {"/api/catalog/products", "/api/search/similar/{product_id}"}
    own = {path for path in lists if not path.startswith("/api/admin/")} - everyones
    assert own >= {"/api/files", "/api/jobs"}
    async with open_client(studio) as client:
        owner = await open_account(client, studio, "merchant")
        for make in LISTED:
            await make(client, studio, owner)
        for path in own:
            own_items = (await client.get(path, headers=owner.headers)).json()["items"]
            assert own_items, f"{path}: make something that it lists, in LISTED"
            for role in ("customer", "merchant"):
                stranger = await open_account(client, studio, role)
                answer = await client.get(path, headers=stranger.headers)
                if answer.status_code == 403 and role == "customer":
                    continue  # a list for merchants
                items = answer.json()["items"]
                if path == "/api/auth/sessions":
                    assert [one["isCurrent"] for one in items] == [True], (path, role)
                    continue
                assert items == [], (path, role)
