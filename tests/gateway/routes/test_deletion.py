"""A deletion includes everything that was made from the deleted: in every table and blob store."""

import asyncio
import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlmodel import select
from starlette.requests import ClientDisconnect
from starlette.types import Message

from db.deletion.account_rows import list_owned
from db.deletion.lineage import lock_lineage
from db.tables import DoomedBlob, Erasure, Payment, Product, TryonJob
from gateway.routes.account import export_me
from settings import Settings
from studio.deletion.lifecycle import TABLES, rule_of
from studio.operations.erasing import repeat_erasure
from studio.ports import Studio
from tests.gateway.full_account import (
    GARMENT,
    PASSWORD,
    SELFIE,
    FullAccount,
    blobs_of,
    fill,
    open_full_account,
    tables_naming,
)
from tests.support.azurite import Azurite
from tests.support.fakes import make_settings


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    server = Azurite(tmp_path_factory.mktemp("azurite")).start()
    yield server
    server.stop()


@pytest.fixture(params=["folder", "azure"])
def settings(
    request: pytest.FixtureRequest, database_url: str, redis_url: str, tmp_path: Path
) -> Settings:
    plain = make_settings(database_url, redis_url, tmp_path / "blobs")
    if request.param == "folder":
        return plain
    server: Azurite = request.getfixturevalue("azure")
    container = f"c{time.time_ns()}"
    server.make_container(container)
    return plain.model_copy(update={"blob_url": server.blob_url(container)})


@pytest.fixture
async def owner(client: httpx.AsyncClient, studio: Studio) -> FullAccount:
    return await open_full_account(client, studio)


async def doomed(studio: Studio) -> set[str]:
    async with studio.database.read() as session:
        return set((await session.exec(select(DoomedBlob.key))).all())


async def test_a_selfie_takes_all_that_shows_it_along(owner: FullAccount) -> None:
    garment = await owner.upload(GARMENT, "garment")
    before = await blobs_of(owner.studio)
    selfie = await owner.upload(SELFIE, "selfie")
    await owner.ask("POST", "/api/cv/segmentation", {"fileId": selfie["id"]})
    tryons = [await owner.try_on(selfie, garment["readUrl"], seed=seed) for seed in range(3)]
    await owner.try_on({"readUrl": tryons[0]["outputUrl"]}, garment["readUrl"])
    await owner.try_on({"readUrl": garment["readUrl"]}, tryons[0]["outputUrl"])
    await owner.ask("POST", "/api/search/image", {"fileId": selfie["id"]})
    batch = {"type": "segment-batch", "payload": {"fileIds": [selfie["id"], garment["id"]]}}
    await owner.finish(await owner.ask("POST", "/api/jobs", batch, 202))
    await owner.ask("DELETE", f"/api/files/{selfie['id']}", status=204)
    names = {selfie["id"], *(one["tryonId"] for one in tryons)}
    assert set(await tables_naming(owner.studio, names)) == {"audit_log", "erasure"}
    rest = await blobs_of(owner.studio) - before
    async with owner.studio.database.read() as session:
        (left,) = (await session.exec(select(TryonJob))).all()
    assert (left.garment_key, left.mask_key) == (None, None)  # it wears what is gone
    assert {key for key in rest if not key.startswith("masks/")} == {left.output_key}
    record = await owner.ask("GET", f"/api/cv/tryons/{left.id}")
    assert record["garmentUrl"] is None and record["outputUrl"]
    assert await doomed(owner.studio) == set()


async def test_a_garment_leaves_its_try_ons(owner: FullAccount) -> None:
    selfie, garment = [await owner.upload(data, "selfie") for data in (SELFIE, GARMENT)]
    tryon = await owner.try_on(selfie, garment["readUrl"])
    await owner.ask("DELETE", f"/api/files/{garment['id']}", status=204)
    assert {key.partition("/")[0] for key in await blobs_of(owner.studio)} == {"uploads", "tryon"}
    record = await owner.ask("GET", f"/api/cv/tryons/{tryon['tryonId']}")
    assert (record["garmentUrl"], record["maskUrl"]) == (None, None)
    assert await owner.studio.blobs.get(f"tryon/{tryon['tryonId']}.png")


async def test_a_try_on_goes_with_its_pictures_and_its_job(owner: FullAccount) -> None:
    selfie, garment = [await owner.upload(data, "selfie") for data in (SELFIE, GARMENT)]
    before = await blobs_of(owner.studio)
    tryon = await owner.try_on(selfie, garment["readUrl"])
    order = {"personUrl": selfie["readUrl"], "garmentUrl": garment["readUrl"], "mode": "queued"}
    job = await owner.finish(await owner.ask("POST", "/api/cv/tryon", order, 202))
    for tryon_id in (tryon["tryonId"], job["id"]):
        path = f"/api/cv/tryons/{tryon_id}"
        await owner.ask("DELETE", path, status=204)
        await owner.ask("DELETE", path, status=404)
        await owner.ask("GET", path, status=404)
    await owner.ask("GET", f"/api/jobs/{job['id']}", status=404)
    assert await blobs_of(owner.studio) == before


async def test_a_waiting_try_on_is_never_made(owner: FullAccount) -> None:
    selfie, garment = [await owner.upload(data, "selfie") for data in (SELFIE, GARMENT)]
    order = {"personUrl": selfie["readUrl"], "garmentUrl": garment["readUrl"], "mode": "queued"}
    job = await owner.ask("POST", "/api/cv/tryon", order, 202)
    await owner.ask("DELETE", f"/api/files/{selfie['id']}", status=204)
    await owner.ask("GET", f"/api/jobs/{job['jobId']}", status=404)
    assert await doomed(owner.studio) == {f"tryon/{job['jobId']}.png"}  # a worker may write it


async def test_a_products_pictures_go_and_try_ons_that_wear_it_stay(
    client: httpx.AsyncClient, studio: Studio, owner: FullAccount
) -> None:
    await fill(owner)
    shopper = await open_full_account(client, studio, "customer")
    path = f"/api/catalog/products/{owner.names['product']}"
    product = await shopper.ask("GET", path)
    selfie = await shopper.upload(SELFIE, "selfie")
    tryon = await shopper.try_on(selfie, product["image"])
    await owner.ask("DELETE", path, status=204)
    assert not {key for key in await blobs_of(studio) if key.startswith("products/")}
    record = await shopper.ask("GET", f"/api/cv/tryons/{tryon['tryonId']}")
    assert record["garmentUrl"] is None and record["outputUrl"]
    named = await tables_naming(studio, [owner.names["product"]])
    assert set(named) == {"product", "audit_log", "erasure"}
    async with studio.database.read() as session:
        row = (await session.exec(select(Product))).one()
    assert (row.title, row.image_key, row.file_id) == ("", "", None)


@pytest.mark.parametrize("is_replaced", [True, False])
async def test_what_others_made_of_a_products_picture_stays_theirs(
    client: httpx.AsyncClient, studio: Studio, owner: FullAccount, is_replaced: bool
) -> None:
    await fill(owner)
    path = f"/api/catalog/products/{owner.names['product']}"
    shopper = await open_full_account(client, studio, "merchant")
    image = (await shopper.ask("GET", path))["image"]
    await shopper.ask("POST", "/api/cv/segmentation", {"imageUrl": image})
    await shopper.ask("POST", "/api/analytics/predict", {"imageUrl": image, "heatmap": True})
    tryon = await shopper.try_on({"readUrl": image}, image)
    tables = ("segmentation_result", "prediction", "tryon_job")
    before = [len(await owned_rows(shopper, table)) for table in tables]
    if is_replaced:
        fresh = await owner.upload(SELFIE, "product")
        body = {
            "title": "x", "category": "x", "price": "1", "currency": "EUR", "fileId": fresh["id"],
        }  # fmt: skip
        await owner.ask("PUT", path, body)
    else:
        await owner.ask("DELETE", path, status=204)
    assert [len(await owned_rows(shopper, table)) for table in tables] == before
    record = await shopper.ask("GET", f"/api/cv/tryons/{tryon['tryonId']}")
    assert (record["personUrl"], record["garmentUrl"]) == (None, None)
    assert record["maskUrl"] and record["outputUrl"]


async def test_a_replaced_picture_is_removed_once_no_answer_names_it(owner: FullAccount) -> None:
    await fill(owner)
    path = f"/api/catalog/products/{owner.names['product']}"
    former = {key for key in await blobs_of(owner.studio) if key.startswith("products/")}
    fresh = await owner.upload(SELFIE, "product")
    body = {"title": "x", "category": "x", "price": "1", "currency": "EUR", "fileId": fresh["id"]}
    await owner.ask("PUT", path, body)
    assert await doomed(owner.studio) == former and len(former) == 2


async def test_an_account_leaves_books_and_nothing_else(
    client: httpx.AsyncClient, studio: Studio, owner: FullAccount
) -> None:
    other = await open_full_account(client, studio, "customer")
    selfie = await other.upload(SELFIE, "selfie")
    before = await blobs_of(studio)
    await fill(owner)
    for table, rule in TABLES.items():
        assert rule.owned is None or await owned_rows(owner, table), f"{table} was not filled"
    assert [key for key in await blobs_of(studio) if rule_of(key) is None] == []
    await owner.ask("DELETE", "/api/auth/me", {"password": "not it"}, 403)
    await owner.ask("DELETE", "/api/auth/me", {}, 422)
    await owner.ask("DELETE", "/api/auth/me", {"password": PASSWORD}, 204)
    await owner.ask("GET", "/api/auth/me", status=401)
    assert await blobs_of(studio) == before
    assert await tables_naming(studio, [owner.email]) == {}
    named = await tables_naming(studio, [str(owner.id), *owner.names.values()])
    assert set(named) == {"audit_log", "erasure", "product"}
    assert not any("192.0.2.1" in row for row in named["audit_log"])
    async with studio.database.read() as session:
        payment = (await session.exec(select(Payment))).one()
        product = (await session.exec(select(Product))).one()
        erased = (await session.exec(select(Erasure))).one()
    assert payment.user_id is None and "payer" not in payment.payload and payment.amount == 5
    assert product.deleted_at is not None and product.owner_id is None
    assert (erased.kind, erased.subject) == ("account", str(owner.id))
    assert await other.ask("GET", f"/api/files/{selfie['id']}")


async def owned_rows(owner: FullAccount, table: str) -> list[object]:
    rule = TABLES[table]
    async with owner.studio.database.read() as session:
        rows = await list_owned(
            session, table, rule.owned or "", rule.key, owner.id, withheld=(), after=None, limit=9
        )
    return [row for _, row in rows]


async def test_an_export_holds_every_row_and_picture(owner: FullAccount) -> None:
    await fill(owner)
    answer = await owner.client.get("/api/auth/me/export", headers=owner.headers)
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        names = set(archive.namelist())
        rows = {
            table: json.loads(archive.read(f"{table}.json"))
            for table, rule in TABLES.items()
            if rule.is_exported
        }
        selfie = next(name for name in names if owner.names["selfie"] in name)
        assert archive.read(selfie) == SELFIE
    for table, exported in rows.items():
        assert len(exported) >= min(len(await owned_rows(owner, table)), 9), table
        assert not any(set(row) & set(TABLES[table].withheld) for row in exported)
    pictures = {name.removeprefix("pictures/") for name in names if name.startswith("pictures/")}
    stored = {key for key in await blobs_of(owner.studio) if not key.startswith("regressors/")}
    assert pictures == stored


async def test_an_export_that_nobody_reads_can_be_asked_for_again(owner: FullAccount) -> None:
    user: Any = owner  # of a caller, only the id matters here

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        raise OSError("the caller has gone")

    for _ in range(2):
        answer = await export_me(user, owner.studio, "192.0.2.1")
        with pytest.raises(ClientDisconnect):
            await answer({"type": "http", "asgi": {"spec_version": "2.4"}}, receive, send)


async def test_the_last_admin_stays(client: httpx.AsyncClient, studio: Studio) -> None:
    first, second = [await open_full_account(client, studio, "admin") for _ in range(2)]
    await first.ask("DELETE", "/api/auth/me", {"password": PASSWORD}, 204)
    await second.ask("DELETE", "/api/auth/me", {"password": PASSWORD}, 409)
    assert (await second.ask("GET", "/api/auth/me"))["role"] == "admin"


async def test_deletions_can_be_applied_again(owner: FullAccount) -> None:
    await fill(owner)
    tryon = (await owner.ask("GET", "/api/cv/tryons"))["items"][0]
    names = owner.names
    for _ in range(2):
        await repeat_erasure(owner.studio, "tryon", tryon["id"])
        await repeat_erasure(owner.studio, "file", names["selfie"])
        await repeat_erasure(owner.studio, "file", names["garment"])  # a live product shows it
        await repeat_erasure(owner.studio, "product", names["product"])
    await owner.ask("GET", f"/api/cv/tryons/{tryon['id']}", status=404)
    await owner.ask("GET", f"/api/catalog/products/{names['product']}", status=404)
    await owner.ask("GET", f"/api/files/{names['selfie']}", status=404)
    for _ in range(2):
        await repeat_erasure(owner.studio, "account", str(owner.id))
    assert await tables_naming(owner.studio, [owner.email]) == {}
    assert await blobs_of(owner.studio) == set()


async def test_one_account_waits_for_itself_with_one_connection(
    client: httpx.AsyncClient, studio: Studio, owner: FullAccount
) -> None:
    selfie = await owner.upload(SELFIE, "selfie")
    path = f"/api/files/{selfie['id']}"
    async with studio.database.transaction() as session:
        await lock_lineage(session, owner.id)
        tasks = [asyncio.create_task(client.delete(path, headers=owner.headers)) for _ in range(20)]
        refused = 0
        while refused < 11:  # one is at work, and eight wait for it
            await asyncio.wait(tasks, timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
            refused = sum(task.done() for task in tasks)
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        result = await session.exec(waiting)  # type: ignore[call-overload]
        assert result.scalar_one() <= 1
        stranger = await open_full_account(client, studio, "customer")
        await stranger.upload(SELFIE, "selfie")
    answers = sorted([answer.status_code for answer in await asyncio.gather(*tasks)])
    assert answers == [204, *[404] * 8, *[429] * 11]
