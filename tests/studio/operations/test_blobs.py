"""Blobs between a store and an archive: copied once, verified, and copied back."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from errors import Invalid
from integrations.blobs.archive import open_archive_store
from integrations.blobs.local import LocalBlobStore
from studio.operations.archive import Archive
from studio.operations.backup_blobs import CopyResult, copy_blobs, damaged_blobs, restore_blobs
from tests.support.backups import silent

KEYS = ["masks/a.png", "masks/b.png"]


@pytest.fixture
async def source(tmp_path: Path) -> LocalBlobStore:
    store = LocalBlobStore(tmp_path / "source", "http://studio.test", ["a secret"])
    for key in KEYS:
        await store.put(key, key.encode(), "image/png")
    return store


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(open_archive_store(str(tmp_path / "archive")))


async def copy(
    source: LocalBlobStore, archive: Archive, keys: Sequence[str], before: CopyResult, folder: Path
) -> CopyResult:
    return await copy_blobs(source, archive, keys, before.stored, folder, silent)


async def test_blobs_are_copied_once(
    source: LocalBlobStore, archive: Archive, tmp_path: Path
) -> None:
    first = await copy(source, archive, [*KEYS, "masks/gone.png"], CopyResult(), tmp_path)
    assert (first.count, first.absent) == (2, ["masks/gone.png"])
    second = await copy(source, archive, KEYS, first, tmp_path)
    assert (second.count, second.stored) == (0, first.stored)


async def test_damaged_blobs_are_found_and_not_restored(
    source: LocalBlobStore, archive: Archive, tmp_path: Path
) -> None:
    stored = (await copy(source, archive, KEYS, CopyResult(), tmp_path)).stored
    target = LocalBlobStore(tmp_path / "target", "http://studio.test", ["a secret"])
    assert await damaged_blobs(archive, stored, tmp_path, silent) == []
    assert await restore_blobs(archive, stored, target, tmp_path, silent) == 2
    assert await restore_blobs(archive, stored, target, tmp_path, silent) == 0
    await archive.store.put(f"blobs/{KEYS[0]}", b"another one", "image/png")
    assert await damaged_blobs(archive, stored, tmp_path, silent) == KEYS[:1]
    await target.delete(KEYS[0])
    with pytest.raises(Invalid, match="damaged"):
        await restore_blobs(archive, stored, target, tmp_path, silent)
