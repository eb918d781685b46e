"""Old unfinished uploads are deleted, others stay, and an outage of the store loses nothing."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from db.tables import File
from errors import Conflict, NotFound, Unavailable
from integrations.blobs.local import LocalBlobStore
from studio.accounts.accounts import create_user
from studio.files import unfinished
from studio.files.checks import FileChecks
from studio.files.files import find_own_file
from studio.files.unfinished import BATCH, reap_unfinished
from studio.files.uploads import complete
from studio.ports import Studio
from tests.support.fakes import PASSWORD, picture

PICTURE = picture()


async def add_file(studio: Studio, owner_id: UUID, *, hours_ago: float, status: str) -> File:
    """Inserts a file with its blob."""
    file_id = uuid4()
    file = File(
        id=file_id, owner_id=owner_id, purpose="selfie", filename="x.jpg", status=status,
        content_type="image/jpeg", size_bytes=len(PICTURE), blob_key=f"uploads/{file_id}.jpg",
        created_at=datetime.now(UTC) - timedelta(hours=hours_ago),
    )  # fmt: skip
    await studio.blobs.put(file.blob_key, PICTURE, "image/jpeg")
    async with studio.database.transaction() as session:
        session.add(file)
    return file


@pytest.fixture
async def owner_id(studio: Studio) -> UUID:
    account = await create_user(studio.database, email="a@example.com", password=PASSWORD)
    return account.id


async def test_only_what_nobody_finished_leaves(studio: Studio, owner_id: UUID) -> None:
    old = [
        await add_file(studio, owner_id, hours_ago=25, status="pending") for _ in range(BATCH + 1)
    ]
    old += [await add_file(studio, owner_id, hours_ago=25, status="failed")]
    recent = await add_file(studio, owner_id, hours_ago=23, status="pending")
    done = await add_file(studio, owner_id, hours_ago=100, status="ready")
    counts = await asyncio.gather(
        *(reap_unfinished(studio.database, studio.blobs) for _ in range(3))
    )
    assert sum(counts) == len(old)
    for file in old:
        assert await studio.blobs.head(file.blob_key) is None
        with pytest.raises(NotFound):
            await find_own_file(studio, owner_id, file.id)
    for file in (recent, done):
        assert await studio.blobs.head(file.blob_key) is not None
    assert (await complete(studio, FileChecks(), owner_id, recent.id)).status == "ready"


async def test_without_the_store_the_row_stays_for_the_next_turn(
    studio: Studio, owner_id: UUID, tmp_path: Path
) -> None:
    file = await add_file(studio, owner_id, hours_ago=25, status="pending")
    folder = tmp_path / "blobs" / "uploads"
    folder.rename(tmp_path / "elsewhere")
    folder.write_text("no folder any more")
    assert await reap_unfinished(studio.database, studio.blobs) == 0
    assert (await find_own_file(studio, owner_id, file.id)).status == "pending"
    folder.unlink()
    (tmp_path / "elsewhere").rename(folder)
    assert await reap_unfinished(studio.database, studio.blobs) == 1


async def test_a_blob_that_stays_keeps_no_other_upload(
    studio: Studio, owner_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This also holds for batches of one, where the oldest upload can't be removed."""
    stuck, *others = [
        await add_file(studio, owner_id, hours_ago=hours, status="pending")
        for hours in (40, 35, 30)
    ]
    bury = studio.blobs.bury

    async def refuse_one(key: str, *, until: datetime) -> None:
        if key == stuck.blob_key:
            raise Unavailable("the blob store refuses")
        await bury(key, until=until)

    monkeypatch.setattr(studio.blobs, "bury", refuse_one)
    monkeypatch.setattr(unfinished, "BATCH", 1)
    assert await reap_unfinished(studio.database, studio.blobs) == 2
    assert (await find_own_file(studio, owner_id, stuck.id)).status == "pending"
    for file in others:
        assert await studio.blobs.head(file.blob_key) is None
    monkeypatch.setattr(studio.blobs, "bury", bury)
    assert await reap_unfinished(studio.database, studio.blobs) == 1


async def test_a_late_put_of_a_reaped_upload_is_refused(studio: Studio, owner_id: UUID) -> None:
    assert isinstance(studio.blobs, LocalBlobStore)
    file = await add_file(studio, owner_id, hours_ago=25, status="pending")
    await reap_unfinished(studio.database, studio.blobs)
    with pytest.raises(Conflict):
        await studio.blobs.put_new(file.blob_key, arriving(PICTURE), len(PICTURE))


async def arriving(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def test_halves_that_a_killed_process_left_are_removed(studio: Studio) -> None:
    assert isinstance(studio.blobs, LocalBlobStore)
    folder = studio.blobs.path_of("x").parent / ".unfinished"
    for name, hours_ago in (("old", 30), ("new", 1)):
        (folder / name).write_bytes(b"half")
        then_s = datetime.now(UTC).timestamp() - hours_ago * 3600
        os.utime(folder / name, (then_s, then_s))
    await reap_unfinished(studio.database, studio.blobs)
    assert [path.name for path in folder.iterdir()] == ["new"]
