"""A try-on whose commit succeeded although its answer was lost keeps its pictures."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast
from uuid import uuid4

import pytest
from sqlmodel import select

from db.engine import AsyncSession, Database
from db.tables import File, TryonJob, User
from errors import Unavailable
from studio.ports import Studio
from studio.tryon.forms import TryOnForm
from studio.tryon.tryon import try_on
from tests.support.fakes import picture

OWNER = uuid4()


class LossyDatabase:
    """Loses the answer to the commit of a try-on's row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        before = await tryons(self._database)
        async with self._database.transaction() as session:
            yield session
        if await tryons(self._database) != before:
            raise Unavailable("the answer was lost")


async def tryons(database: Database) -> list[TryonJob]:
    async with database.read() as session:
        return list((await session.exec(select(TryonJob))).all())


async def upload(studio: Studio, colour: str) -> str:
    """Stores a picture of the owner's; returns its URL."""
    file_id, data = uuid4(), picture(colour, kind="PNG")
    key = f"uploads/{OWNER}/{file_id}.png"
    await studio.blobs.put(key, data, "image/png")
    async with studio.database.transaction() as session:
        session.add(
            File(
                id=file_id, owner_id=OWNER, purpose="garment", filename="a.png", blob_key=key,
                content_type="image/png", size_bytes=len(data), status="ready", width=32, height=24,
            )
        )  # fmt: skip
    return await studio.blobs.sign_get(key)


async def test_a_lost_answer_to_the_commit_deletes_no_picture(studio: Studio) -> None:
    async with studio.database.transaction() as session:
        session.add(User(id=OWNER, email="a@example.com", password_hash="x"))
    person, garment = await upload(studio, "blue"), await upload(studio, "red")
    form = TryOnForm.model_validate({"personUrl": person, "garmentUrl": garment})
    lossy = replace(studio, database=cast(Database, LossyDatabase(studio.database)))
    with pytest.raises(Unavailable, match="the answer was lost"):
        await try_on(lossy, OWNER, form, "sync")
    (row,) = await tryons(studio.database)
    assert row.output_key and row.mask_key
    for key in (row.output_key, row.mask_key):
        assert await studio.blobs.head(key) is not None
