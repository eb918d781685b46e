"""The files of index versions: in the blob store under `indexes/{version}/`, and cached on disk.

A replica maps the files of its cache folder. Before that it reads them all and compares them with
the manifest, which also brings them into the machine's page cache.
"""

import asyncio
import shutil
import tempfile
from concurrent.futures import Executor
from pathlib import Path

from errors import Invalid, Unavailable
from models.index.files import Manifest, find_damage, is_readable, manifest_of
from settings import Settings
from studio.ports import BlobStore

CACHED_VERSIONS = 3


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
) -> Path:
    """The version's folder in the cache; downloads it unless it is complete.

    Existing files are checked in a thread of `checker`, or in any thread if that is None.

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
                await _download(blobs, version, manifest, complete)
                await asyncio.to_thread(_install, complete, target, manifest)
        except OSError as error:
            raise Unavailable(f"index files can't be stored: {error.strerror}") from error
    await asyncio.to_thread(_keep_newest, cache, version)
    return target


async def _download(blobs: BlobStore, version: str, manifest: Manifest, folder: Path) -> None:
    for name in manifest:
        await blobs.get_file(f"indexes/{version}/{name}", folder / name)
    if damage := await asyncio.to_thread(find_damage, folder, manifest):
        raise Invalid(f"index files are missing or damaged: {', '.join(damage)}")


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
