"""Copies the blobs of a backup into the archive and back, and verifies them, a few at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from db.backup.snapshot import BackupProgress, sha256_of
from errors import Invalid, NotFound
from studio.operations.archive import Archive, StoredBlob
from studio.ports import BlobStore

WORKERS = 8
REPORT_EVERY = 500

Handle = Callable[[str, Path], Awaitable[None]]
"""Called with a blob's key and the path of a file that it may write."""


@dataclass
class CopyResult:
    """The blobs of a backup, and how many of them were copied for it."""

    stored: dict[str, StoredBlob] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    count: int = 0
    bytes: int = 0


async def copy_blobs(
    source: BlobStore,
    archive: Archive,
    keys: Collection[str],
    existing: Mapping[str, StoredBlob],
    folder: Path,
    report: BackupProgress,
) -> CopyResult:
    """Copies blobs into the archive, except `existing` blobs that it contains with the same size.

    Raises:
        Unavailable: a store does not answer.
    """
    result = CopyResult()

    async def copy(key: str, path: Path) -> None:
        info = await source.head(key)
        before = existing.get(key)
        if info is None:
            result.absent.append(key)
        elif before and before.size == info.size and await archive.has_blob(key, before):
            result.stored[key] = before
        elif (blob := await _fetch(source, key, path)) is None:
            result.absent.append(key)
        else:
            await archive.store.put_file(f"blobs/{key}", path)
            result.stored[key] = blob
            result.count += 1
            result.bytes += blob.size

    await for_each(keys, copy, folder, report, "blobs copied")
    return result


async def damaged_blobs(
    archive: Archive, stored: Mapping[str, StoredBlob], folder: Path, report: BackupProgress
) -> list[str]:
    """Reads every blob in the archive. Returns the keys of missing and damaged ones."""
    damaged: list[str] = []

    async def check(key: str, path: Path) -> None:
        if await _fetch(archive.store, f"blobs/{key}", path) != stored[key]:
            damaged.append(key)

    await for_each(stored, check, folder, report, "blobs verified")
    return sorted(damaged)


async def restore_blobs(
    archive: Archive,
    stored: Mapping[str, StoredBlob],
    target: BlobStore,
    folder: Path,
    report: BackupProgress,
) -> int:
    """Copies blobs from the archive to the target, except those that the target has.

    Returns how many blobs were copied.

    Raises:
        Invalid: a blob in the archive is missing or damaged.
    """
    count = 0

    async def restore(key: str, path: Path) -> None:
        nonlocal count
        info = await target.head(key)
        if info is not None and info.size == stored[key].size:
            return
        if await _fetch(archive.store, f"blobs/{key}", path) != stored[key]:
            raise Invalid(f"the blob {key} of the backup is missing or damaged")
        await target.put_file(key, path)
        count += 1

    await for_each(stored, restore, folder, report, "blobs restored")
    return count


async def for_each(
    keys: Collection[str], handle: Handle, folder: Path, report: BackupProgress, what: str
) -> None:
    """Calls `handle` for all keys, a few at a time; it stops at the first error."""
    waiting = iter(keys)
    done = 0

    async def work(number: int) -> None:
        nonlocal done
        path = folder / f"blob-{number}"
        for key in waiting:
            await handle(key, path)
            done += 1
            if done % REPORT_EVERY == 0 or done == len(keys):
                report(done, len(keys), what)

    workers = [asyncio.create_task(work(number)) for number in range(WORKERS)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()


async def _fetch(store: BlobStore, key: str, path: Path) -> StoredBlob | None:
    try:
        await store.get_file(key, path)
    except NotFound:
        return None
    return await asyncio.to_thread(_describe, path)


def _describe(path: Path) -> StoredBlob:
    return StoredBlob(path.stat().st_size, sha256_of(path))
