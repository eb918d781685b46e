"""The folder of a local blob store: unique keys, tombstones, and blobs in order of keys."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from time import time
from typing import IO

from errors import Conflict, Unavailable
from integrations.blobs.keys import BlobEntry, is_key

UNFINISHED = ".unfinished"
TOMBSTONES = ".tombstones"


class DiskFull(Unavailable):
    """The disk is nearly full; an operator has to free space."""

    retry_after_s = 60


@contextmanager
def raising_unavailable() -> Iterator[None]:
    """Turns errors of the disk into Unavailable, except missing and existing files."""
    try:
        yield
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError as error:
        raise Unavailable("the blob store can't be used right now") from error


def check_free(folder: Path, floor_bytes: int, coming_bytes: int = 0) -> None:
    """Checks the free space of the disk.

    Raises:
        DiskFull: less than `floor_bytes` would be free after `coming_bytes` more.
    """
    if floor_bytes and shutil.disk_usage(folder).free - coming_bytes < floor_bytes:
        raise DiskFull("the studio's disk is nearly full; nothing can be stored right now")


@contextmanager
def unfinished_file(
    folder: Path, floor_bytes: int, coming_bytes: int
) -> Iterator[tuple[IO[bytes], Path]]:
    """A new file beside the blobs, which is deleted at the end unless it was moved.

    Raises:
        DiskFull: less than `floor_bytes` would be free after `coming_bytes` more.
    """
    try:
        check_free(folder, floor_bytes, coming_bytes)
        descriptor, name = tempfile.mkstemp(dir=folder / UNFINISHED)
    except FileNotFoundError:
        raise Unavailable("the blob folder is gone") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file, Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def finish(file: IO[bytes]) -> None:
    """Writes the bytes to the disk, past all buffers."""
    file.flush()
    os.fsync(file.fileno())


def tombstone_of(folder: Path, key: str) -> Path:
    """The path of a key's tombstone: an empty file whose modification time is its end."""
    return folder / TOMBSTONES / sha256(key.encode()).hexdigest()


def is_buried(folder: Path, key: str) -> bool:
    """Whether the key has a tombstone that has not ended."""
    with suppress(FileNotFoundError):
        return tombstone_of(folder, key).stat().st_mtime > time()
    return False


def bury(folder: Path, key: str, until: datetime) -> None:
    """Writes a tombstone, then deletes the blob; `link_new` checks the tombstone after its link."""
    if until.timestamp() > time():
        tombstone = tombstone_of(folder, key)
        # The file gets its end before its final name, as else `drop_ended` could remove it early.
        descriptor, staging = tempfile.mkstemp(dir=folder / UNFINISHED)
        os.close(descriptor)
        os.utime(staging, (until.timestamp(), until.timestamp()))
        Path(staging).replace(tombstone)
    with suppress(FileNotFoundError):
        (folder / key).unlink()


def require_new_key(folder: Path, key: str) -> None:
    """Checks that a key is new.

    Raises:
        Conflict: it has a blob already, or had one that was deleted.
    """
    if (folder / key).exists():
        raise Conflict("this blob was uploaded already")
    if is_buried(folder, key):
        raise Conflict("this upload was deleted")


def link_new(unfinished: Path, folder: Path, key: str) -> None:
    """Links a finished file to its key, if the key is new.

    Raises:
        Conflict: the key has a blob already, or had one that was deleted.
    """
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.hardlink_to(unfinished)
    except FileExistsError:
        raise Conflict("this blob was uploaded already") from None
    if is_buried(folder, key):
        path.unlink(missing_ok=True)
        raise Conflict("this upload was deleted")


def drop_ended(folder: Path, older_than_s: float) -> None:
    """Deletes unfinished files of killed processes, and tombstones that have ended."""
    for place, age_s in ((UNFINISHED, older_than_s), (TOMBSTONES, 0)):
        for path in (folder / place).iterdir():
            with suppress(FileNotFoundError):
                if time() - path.stat().st_mtime > age_s:
                    path.unlink()


def scan_folder(folder: Path, prefix: str, after: str = "", base: str = "") -> Iterator[BlobEntry]:
    """The blobs of a prefix in order of their keys; only enters folders that can contain some."""
    try:
        with os.scandir(folder / base) as entries:
            names = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries)
    except FileNotFoundError:
        return
    for name in names:
        key = base + name
        if name.startswith(".") or not (key.startswith(prefix) or prefix.startswith(key)):
            continue
        if name.endswith("/"):
            if after[: len(key)] <= key:
                yield from scan_folder(folder, prefix, after, key)
        elif key.startswith(prefix) and key > after and is_key(key):
            with suppress(FileNotFoundError):
                status = (folder / key).stat()
                modified_at = datetime.fromtimestamp(status.st_mtime, UTC)
                yield BlobEntry(key, status.st_size, modified_at)
