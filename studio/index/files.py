"""The files of index versions: in the blob store under `indexes/{version}/`, and cached on disk.

They are fetched by ranges, several at a time, because one stream does not fill a fast network.
A replica maps the files of its cache folder. Before that it reads them all and compares them with
the manifest, which also brings them into the machine's page cache.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from errors import Invalid, NotFound, Unavailable
from models.index.files import Manifest, find_damage, is_readable, manifest_of
from settings import Settings
from studio.ports import BlobStore

CACHED_VERSIONS = 3
RANGE_BYTES = 4 << 20
FETCHES = 8
"""Ranges that are fetched at a time; each of them is in memory."""
TRIES = 3
"""How often a range is requested before the whole download fails."""
RETRY_S = 0.5


def cache_folder(settings: Settings) -> Path:
    """The cache folder. It outlives a replica, so that a restart downloads nothing.

    All replicas on a machine share the folder, and thus the memory pages of the mapped files.
    """
    return settings.data_dir / "indexes"


async def store_files(blobs: BlobStore, version: str, folder: Path) -> Manifest:
    """Uploads every file of a folder; returns their sizes and checksums."""
    manifest = await asyncio.to_thread(manifest_of, folder)
    for name in manifest:
        await blobs.put_file(f"indexes/{version}/{name}", folder / name)
    return manifest


async def fetch_files(
    blobs: BlobStore,
    version: str,
    manifest: Manifest,
    cache: Path,
    checker: Executor | None = None,
    note_bytes: Callable[[int], None] = lambda _: None,
) -> Path:
    """The version's folder in the cache; downloads it unless it is complete.

    Existing files are checked in a thread of `checker`, or in any thread if that is None.
    `note_bytes` is called with the size of each range that was fetched.

    Raises:
        NotFound: a file is gone from the store.
        Invalid: a file in the store is damaged, or in the format of another studio version.
        Unavailable: the disk is full, or the folder can't be written to.
    """
    if not is_readable(manifest):
        raise Invalid(f"index {version} was written by another studio version: rebuild the index")
    target = cache / version
    loop = asyncio.get_running_loop()
    if await loop.run_in_executor(checker, find_damage, target, manifest):
        try:
            await asyncio.to_thread(cache.mkdir, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache, prefix=".partial-") as partial:
                complete = Path(partial) / version
                complete.mkdir()
                await _download(blobs, version, manifest, complete, note_bytes)
                await asyncio.to_thread(_install, complete, target, manifest)
        except OSError as error:
            raise Unavailable(f"index files can't be stored: {error.strerror}") from error
    await asyncio.to_thread(_keep_newest, cache, version)
    return target


@dataclass(frozen=True)
class FileRange:
    """Some consecutive bytes of a file."""

    name: str
    start: int
    size: int


def _ranges(manifest: Manifest) -> Iterator[FileRange]:
    for name, entry in manifest.items():
        size = int(entry["size"])
        for start in range(0, size, RANGE_BYTES):
            yield FileRange(name, start, min(RANGE_BYTES, size - start))


async def _download(
    blobs: BlobStore,
    version: str,
    manifest: Manifest,
    folder: Path,
    note_bytes: Callable[[int], None],
) -> None:
    """Fetches all files into an empty folder.

    Raises:
        NotFound: a file is gone from the store.
        Invalid: a file in the store differs from the manifest.
        Unavailable: the store does not answer.
    """
    for name, entry in manifest.items():
        info = await blobs.head(f"indexes/{version}/{name}")
        if info is None:
            raise NotFound(f"{name} of index {version} is gone from the blob store")
        if info.size != entry["size"]:
            raise Invalid(f"index files are missing or damaged: {name}")
        await asyncio.to_thread((folder / name).touch)
    ranges = _ranges(manifest)

    async def fetch_next_ranges() -> None:
        for part in ranges:
            data = await _fetch_range(blobs, f"indexes/{version}/{part.name}", part)
            await asyncio.to_thread(_write_at, folder / part.name, part.start, data)
            note_bytes(part.size)

    try:
        async with asyncio.TaskGroup() as fetches:
            for _ in range(FETCHES):
                fetches.create_task(fetch_next_ranges(), name="fetch index")
    except ExceptionGroup as errors:  # the first failure cancels the other fetches
        raise errors.exceptions[0] from None
    if damage := await asyncio.to_thread(find_damage, folder, manifest):
        raise Invalid(f"index files are missing or damaged: {', '.join(damage)}")


async def _fetch_range(blobs: BlobStore, key: str, part: FileRange) -> bytes:
    """The bytes of a range, which is requested again if the answer breaks off.

    Raises:
        Unavailable: none of the tries has returned the whole range.
    """
    for tries_left in reversed(range(TRIES)):
        try:
            data = await blobs.get_range(key, part.start, part.size)
            if len(data) == part.size:
                return data
        except Unavailable:
            if not tries_left:
                raise
        await asyncio.sleep(RETRY_S)
    raise Unavailable(f"the blob store returns only a part of {part.name}")


def _write_at(path: Path, start: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(data)


def _install(complete: Path, target: Path, manifest: Manifest) -> None:
    """Moves a complete folder to its place, unless another replica has just done so."""
    try:
        complete.rename(target)
    except OSError:
        if find_damage(target, manifest):
            shutil.rmtree(target)
            complete.rename(target)


def _keep_newest(cache: Path, version: str) -> None:
    """Deletes all but the newest folders. Names of versions begin with their time; files that are
    deleted while a replica maps them stay readable to it.
    """
    versions = sorted(
        (path for path in cache.iterdir() if path.is_dir() and not path.name.startswith(".")),
        reverse=True,
    )
    for path in versions[CACHED_VERSIONS:]:
        if path.name != version:
            shutil.rmtree(path, ignore_errors=True)
