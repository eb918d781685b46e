"""Requests that were admitted before the deletion of their account and write after it."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from db.deletion.lineage import lock_lineage
from db.users import delete_user, get_user
from studio.ports import Studio
from tests.gateway.routes.test_tryon_pictures import ADDRESS, studio
from tests.support.fakes import sign_in

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"
__all__ = ["studio"]  # a fixture, with pictures from outside

Send = Callable[[httpx.AsyncClient, dict[str, str]], Awaitable[httpx.Response]]


async def presign(client: httpx.AsyncClient, headers: dict[str, str]) -> httpx.Response:
    body = {
        "filename": "a.png", "contentType": "image/png", "sizeBytes": 10, "purpose": "selfie",
    }  # fmt: skip
    return await client.post("/api/files/presign", json=body, headers=headers)


async def submit_job(client: httpx.AsyncClient, headers: dict[str, str]) -> httpx.Response:
    body = {"type": "segment-batch", "payload": {"imageUrls": [ADDRESS]}}
    return await client.post("/api/jobs", json=body, headers=headers)


async def segment(client: httpx.AsyncClient, headers: dict[str, str]) -> httpx.Response:
    return await client.post("/api/cv/segmentation", json={"imageUrl": ADDRESS}, headers=headers)


async def predict(client: httpx.AsyncClient, headers: dict[str, str]) -> httpx.Response:
    body = {"imageUrl": ADDRESS, "category": "dress", "heatmap": True}
    return await client.post("/api/analytics/predict", json=body, headers=headers)


@pytest.mark.parametrize("send", [presign, submit_job, segment, predict])
async def test_a_row_of_an_account_that_was_deleted_meanwhile_is_a_401(
    client: httpx.AsyncClient, studio: Studio, send: Send
) -> None:
    headers = await sign_in(client, studio, "merchant")
    me = UUID((await client.get("/api/auth/me", headers=headers)).json()["id"])
    async with studio.database.transaction() as session:
        await lock_lineage(session, me)
        await get_user(session, me, lock=True)
        answer = asyncio.ensure_future(send(client, headers))
        await until_waiting(studio)
        await delete_user(session, me)
    refused = await answer
    assert refused.status_code == 401, refused.text
    assert refused.json()["detail"] == "the account was deleted"
    left = {key async for key in studio.blobs.list("")}
    assert {key for key in left if key.startswith(("masks/", "heatmaps/"))} == set()


async def until_waiting(studio: Studio) -> None:
    async with asyncio.timeout(10):
        while True:
            async with studio.database.read() as session:
                if (await session.exec(text(WAITING))).scalar_one():  # type: ignore[call-overload]
                    return
            await asyncio.sleep(0.01)
