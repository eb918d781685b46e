"""Doomed blobs: removed outside of transactions, and one that stays keeps no other."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from db.deletion.erasures import doom_blobs
from db.tables import DoomedBlob
from errors import Unavailable
from studio.accounts.removal import end_account, remove_account
from studio.deletion.blob_removal import remove_doomed
from studio.files import files
from studio.ports import Studio
from studio.tryon.history import delete_tryon
from tests.studio.deletion.rows import FILE, KEY, NOW, add, ids, rows, run, tryon

BUSY = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'
"""


class WatchfulStore:
    """A blob store that records how many transactions are open during its deletions."""

    def __init__(self, studio: Studio) -> None:
        self._studio, self.busy = studio, list[int]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._studio.blobs, name)

    async def delete(self, key: str) -> None:
        self.busy.append(await run(self._studio, BUSY))
        await self._studio.blobs.delete(key)

    async def bury(self, key: str, *, until: datetime) -> None:
        self.busy.append(await run(self._studio, BUSY))
        await self._studio.blobs.bury(key, until=until)

    async def list(self, prefix: str) -> AsyncIterator[str]:
        self.busy.append(await run(self._studio, BUSY))
        async for key in self._studio.blobs.list(prefix):
            yield key


async def test_a_request_removes_only_the_blobs_that_it_doomed(studio: Studio, owner: UUID) -> None:
    await studio.blobs.put("masks/other.png", b"x", "image/png")
    async with studio.database.transaction() as session:
        await doom_blobs(session, ["masks/other.png"])
    await files.delete(studio, owner, FILE, ip=None)
    assert await studio.blobs.head(KEY) is None
    assert await rows(studio, DoomedBlob.key) == ["masks/other.png"]
    assert await remove_doomed(studio.database, studio.blobs) == 1


async def test_no_transaction_waits_for_the_store(studio: Studio, owner: UUID) -> None:
    try_on = tryon(state="succeeded")
    await add(studio, try_on)
    store = WatchfulStore(studio)
    watched = replace(studio, blobs=store)
    await delete_tryon(watched, owner, try_on.id, ip=None)
    await files.delete(watched, owner, FILE, ip=None)
    async with studio.database.transaction() as session:
        await doom_blobs(session, ["masks/a.png"])
        await end_account(session, owner)
    await remove_doomed(studio.database, store)
    await remove_account(studio.database, store, owner)
    assert len(store.busy) >= 6 and set(store.busy) == {0}


class StubbornStore:
    """A store that can't delete one of its blobs."""

    def __init__(self, studio: Studio, stubborn: str) -> None:
        self._blobs, self._stubborn = studio.blobs, stubborn

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)

    async def delete(self, key: str) -> None:
        if key == self._stubborn:
            raise Unavailable("the blob store does not answer")
        await self._blobs.delete(key)


async def test_one_blob_that_stays_keeps_no_other(studio: Studio) -> None:
    for name in ("a", "b"):
        await studio.blobs.put(f"masks/{name}.png", b"x", "image/png")
    async with studio.database.transaction() as session:
        await doom_blobs(session, ["masks/a.png", "masks/b.png"])
        await doom_blobs(session, ["masks/later.png"], due_at=NOW + timedelta(hours=1))
    stubborn: Any = StubbornStore(studio, "masks/a.png")
    assert await remove_doomed(studio.database, stubborn) == 1
    assert {key async for key in studio.blobs.list("masks/")} == {"masks/a.png"}
    assert await ids(studio, DoomedBlob.key) == {"masks/a.png", "masks/later.png"}
