"""The archive of backups: a separate store of the backups, their shared blobs, and the erasures.

erasures.jsonl                 every deletion that any backup has recorded
backups/{id}/manifest.json     written last: a backup without it is not complete
backups/{id}/tables/…          the rows, a file for each table
backups/{id}/blobs.jsonl.gz    key, size and SHA-256 of every blob that the rows need
blobs/{key}                    a blob, stored once for all backups that need it
"""

import asyncio
import gzip
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from db.backup.snapshot import TableFile, sha256_of
from errors import Invalid, NotFound
from studio.ports import BlobStore

FORMAT = 1
MANIFEST, BLOBS_FILE, ERASURES = "manifest.json", "blobs.jsonl.gz", "erasures.jsonl"
JSON = "application/json"


@dataclass(frozen=True)
class StoredBlob:
    """The size and the checksum of a blob in the archive."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a backup contains. `absent`: blobs that rows refer to and the store did not have."""

    id: str
    revision: str
    server: str
    snapshot_at: datetime
    finished_at: datetime
    tables: list[TableFile]
    sequences: dict[str, int]
    blobs_sha256: str
    blob_count: int
    blob_bytes: int
    copied_count: int
    copied_bytes: int
    absent: list[str]
    format: int = FORMAT

    @property
    def row_count(self) -> int:
        """The number of rows of all tables."""
        return sum(table.rows for table in self.tables)


@dataclass(frozen=True)
class ErasureLine:
    """A deletion, with the columns of the table `erasure`."""

    id: UUID
    at: datetime
    kind: str
    subject: str


@dataclass(frozen=True)
class SealedManifest:
    """A manifest with its own checksum."""

    manifest: Manifest
    sha256: str


SEALED: TypeAdapter[SealedManifest] = TypeAdapter(SealedManifest)
LINES: TypeAdapter[ErasureLine] = TypeAdapter(ErasureLine)


class Archive:
    """Reads and writes the files of an archive in any blob store."""

    def __init__(self, store: BlobStore) -> None:
        self.store = store

    async def list_ids(self) -> list[str]:
        """The ids of complete backups, oldest first."""
        keys = [key async for key in self.store.list("backups/")]
        return sorted(key.split("/")[1] for key in keys if key.endswith(f"/{MANIFEST}"))

    async def read_manifest(self, backup_id: str | None = None) -> Manifest:
        """The manifest of a complete backup, by default of the newest.

        Raises:
            NotFound: there is no such backup.
            Invalid: it is damaged, or has a format that this studio can't read.
        """
        ids = await self.list_ids()
        if not ids or (backup_id is not None and backup_id not in ids):
            raise NotFound("there is no complete backup" + (f" {backup_id}" if backup_id else ""))
        data = await self.store.get(f"backups/{backup_id or ids[-1]}/{MANIFEST}")
        try:
            sealed = SEALED.validate_json(data)
        except ValidationError:
            sealed = None
        if sealed is None or sealed.sha256 != _seal_of(sealed.manifest):
            raise Invalid(f"the manifest of backup {backup_id or ids[-1]} is damaged")
        if sealed.manifest.format != FORMAT:
            raise Invalid(f"this studio can't read backups of format {sealed.manifest.format}")
        return sealed.manifest

    async def write_manifest(self, manifest: Manifest) -> None:
        """Writes the manifest, which completes the backup."""
        data = SEALED.dump_json(SealedManifest(manifest, _seal_of(manifest)), indent=1)
        await self.store.put(f"backups/{manifest.id}/{MANIFEST}", data, JSON)

    async def put_table(self, backup_id: str, table: TableFile, folder: Path) -> None:
        """Copies a table's file from the folder into the archive."""
        await self.store.put_file(f"backups/{backup_id}/tables/{table.file}", folder / table.file)

    async def get_table(self, manifest: Manifest, table: TableFile, folder: Path) -> None:
        """Copies a table's file from the archive into the folder.

        Raises:
            Invalid: the file is missing or damaged.
        """
        path = folder / table.file
        try:
            await self.store.get_file(f"backups/{manifest.id}/tables/{table.file}", path)
        except NotFound:
            raise Invalid(f"the backup's file of the table {table.name} is missing") from None
        if await asyncio.to_thread(sha256_of, path) != table.sha256:
            raise Invalid(f"the backup's file of the table {table.name} is damaged")

    async def put_blob_list(self, backup_id: str, blobs: Mapping[str, StoredBlob]) -> str:
        """Writes the list of a backup's blobs. Returns the SHA-256 of its file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / BLOBS_FILE
            await asyncio.to_thread(_write_blob_list, path, blobs)
            await self.store.put_file(f"backups/{backup_id}/{BLOBS_FILE}", path)
            return await asyncio.to_thread(sha256_of, path)

    async def read_blob_list(self, manifest: Manifest) -> dict[str, StoredBlob]:
        """The blobs of a backup by key.

        Raises:
            Invalid: the list is missing or damaged.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / BLOBS_FILE
            try:
                await self.store.get_file(f"backups/{manifest.id}/{BLOBS_FILE}", path)
            except NotFound:
                raise Invalid(f"the list of blobs of backup {manifest.id} is missing") from None
            if await asyncio.to_thread(sha256_of, path) != manifest.blobs_sha256:
                raise Invalid(f"the list of blobs of backup {manifest.id} is damaged")
            return await asyncio.to_thread(lambda: dict(_read_blob_list(path)))

    async def has_blob(self, key: str, blob: StoredBlob) -> bool:
        """Whether the archive has a blob of this key and size."""
        info = await self.store.head(f"blobs/{key}")
        return info is not None and info.size == blob.size

    async def read_erasures(self, *, must_exist: bool = True) -> dict[UUID, ErasureLine]:
        """All recorded deletions by id.

        Raises:
            Invalid: the file is missing or damaged, so a restore could bring back deleted data.
        """
        try:
            data = await self.store.get(ERASURES)
        except NotFound:
            if must_exist:
                raise Invalid(f"{ERASURES} of the backups is missing") from None
            return {}
        body, _, seal = data.rstrip(b"\n").rpartition(b"\n")
        if seal.decode(errors="replace") != _seal_line(body):
            raise Invalid(f"{ERASURES} of the backups is damaged")
        lines = [LINES.validate_json(line) for line in body.splitlines()]
        return {line.id: line for line in lines}

    async def add_erasures(self, fresh: Iterable[ErasureLine]) -> int:
        """Adds deletions that are not recorded yet. Returns how many are recorded now."""
        erasures = await self.read_erasures(must_exist=False)
        erasures.update((line.id, line) for line in fresh)
        ordered = sorted(erasures.values(), key=lambda line: (line.at, line.id))
        body = b"\n".join(LINES.dump_json(line) for line in ordered)
        data = body + b"\n" + _seal_line(body).encode() + b"\n"
        await self.store.put(ERASURES, data, "application/x-ndjson")
        return len(erasures)

    async def prune(self, keep: int) -> int:
        """Removes all but the `keep` newest backups, then the blobs that none of these needs.

        A backup's manifest is deleted first, so that it never counts as complete without its files.
        Returns how many backups were removed.
        """
        ids = await self.list_ids()
        old, newest = ids[:-keep], ids[-keep:]
        needed: set[str] = set()
        for backup_id in newest:
            needed |= (await self.read_blob_list(await self.read_manifest(backup_id))).keys()
        for backup_id in old:
            await self.store.delete(f"backups/{backup_id}/{MANIFEST}")
        async for key in self.store.list("backups/"):
            if key.split("/")[1] not in newest:
                await self.store.delete(key)
        async for key in self.store.list("blobs/"):
            if key.removeprefix("blobs/") not in needed:
                await self.store.delete(key)
        return len(old)


def _seal_of(manifest: Manifest) -> str:
    text = json.dumps(asdict(manifest), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _seal_line(body: bytes) -> str:
    return json.dumps({"sha256": hashlib.sha256(body).hexdigest()})


def _write_blob_list(path: Path, blobs: Mapping[str, StoredBlob]) -> None:
    with path.open("wb") as out, gzip.GzipFile("", "wb", 6, out, mtime=0) as packed:
        for key, blob in sorted(blobs.items()):
            packed.write(json.dumps([key, blob.size, blob.sha256]).encode() + b"\n")


def _read_blob_list(path: Path) -> Iterator[tuple[str, StoredBlob]]:
    with gzip.open(path) as packed:
        for line in packed:
            key, size, sha256 = json.loads(line)
            yield key, StoredBlob(size, sha256)
