"""Exports everything that is stored about an account, as a ZIP archive that is streamed."""

import asyncio
import json
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any, cast
from uuid import UUID

from db.audit import insert_audit
from db.deletion.account_rows import list_owned
from errors import NotFound, RateLimited, Unavailable
from studio.context import current_request_id
from studio.deletion.lifecycle import TABLES, TableRule
from studio.deletion.lineage import is_fetched
from studio.ports import Studio

PAGE = 100
LOCK_S = 600
PICTURE_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "files": ("blob_key",),
    "segmentation_result": ("mask_key",),
    "tryon_job": ("output_key", "person_key", "garment_key", "mask_key"),
    "prediction": ("heatmap_key",),
    "product": ("image_key",),
    "product_image": ("image_key",),
}
"""Columns with keys of pictures. A try-on's input is exported only if it was fetched for it."""


class WriteBuffer:
    """A write-only file for `zipfile`; the caller takes the bytes and sends them."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def write(self, data: bytes, /) -> int:
        """Appends the data; called by `zipfile`."""
        self._buffer += data
        return len(data)

    def flush(self) -> None:
        """Does nothing; called by `zipfile`."""

    def take(self) -> bytes:
        """Removes and returns the bytes written so far."""
        data, self._buffer = bytes(self._buffer), bytearray()
        return data


@dataclass(frozen=True)
class ExportStream:
    """An archive in pieces; its sender calls `release` at the end, also after an error."""

    pieces: AsyncIterator[bytes]
    release: Callable[[], Awaitable[None]]


async def begin_export(studio: Studio, user_id: UUID, *, ip: str | None) -> ExportStream:
    """Starts an export; an account can have only one at a time.

    Raises:
        RateLimited: another export of this account is under way.
        Unavailable: the cache or the database does not answer.
    """
    lock = f"export:{user_id}"
    if not await studio.cache.add(lock, b"1", lifetime_s=LOCK_S):
        raise RateLimited("an export of this account is under way")

    async def release() -> None:
        with suppress(Unavailable):
            await studio.cache.delete(lock)

    try:
        async with studio.database.transaction() as session:
            insert_audit(
                session, "ACCOUNT_EXPORTED", actor_id=user_id, subject=str(user_id), ip=ip,
                request_id=current_request_id(),
            )  # fmt: skip
    except BaseException:
        await release()
        raise
    return ExportStream(Export(studio, user_id).write(), release)


class Export:
    """One archive: `<table>.json` for every table, then `pictures/<key>`."""

    def __init__(self, studio: Studio, user_id: UUID) -> None:
        self._studio = studio
        self._user_id = user_id
        self._buffer = WriteBuffer()
        self._keys: dict[str, None] = {}

    async def write(self) -> AsyncIterator[bytes]:
        """Yields the archive in pieces; only a page of rows or part of a picture is in memory."""
        with zipfile.ZipFile(cast(IO[bytes], self._buffer), "w") as archive:
            for table in reversed(TABLES):
                rule = TABLES[table]
                if rule.is_exported and rule.owned is not None:
                    with archive.open(_entry(f"{table}.json", zipfile.ZIP_DEFLATED), "w") as file:
                        async for data in self._rows(table, rule):
                            await asyncio.to_thread(file.write, data)
                            yield self._buffer.take()
            for key in self._keys:
                async for piece in self._picture(archive, key):
                    yield piece
        yield self._buffer.take()

    async def _rows(self, table: str, rule: TableRule) -> AsyncIterator[bytes]:
        """A JSON array of the rows about the account, in pieces."""
        after: Any = None
        while True:
            async with self._studio.database.read() as session:
                rows = await list_owned(
                    session, table, rule.owned or "", rule.key, self._user_id,
                    withheld=rule.withheld, after=after, limit=PAGE,
                )  # fmt: skip
            if rows:
                start = "[\n" if after is None else ",\n"
                yield (start + ",\n".join(json.dumps(row) for _, row in rows)).encode()
                after = rows[-1][0]
                self._note_pictures(table, [row for _, row in rows])
            if len(rows) < PAGE:
                yield b"[]\n" if after is None else b"\n]\n"
                return

    def _note_pictures(self, table: str, rows: list[dict[str, Any]]) -> None:
        for column in PICTURE_COLUMNS.get(table, ()):
            is_input = table == "tryon_job" and column != "output_key"
            for row in rows:
                key = row.get(column)
                if key and (not is_input or is_fetched(key)):
                    self._keys[key] = None

    async def _picture(self, archive: zipfile.ZipFile, key: str) -> AsyncIterator[bytes]:
        """Adds a picture to the archive; skips one whose blob is gone or was never uploaded."""
        pieces = self._studio.blobs.stream(key)
        try:
            first = await anext(pieces, b"")
        except NotFound:
            return
        with archive.open(_entry(f"pictures/{key}", zipfile.ZIP_STORED), "w") as file:
            file.write(first)
            yield self._buffer.take()
            async for piece in pieces:
                file.write(piece)
                yield self._buffer.take()


def _entry(name: str, compression: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, datetime.now(UTC).timetuple()[:6])
    entry.compress_type = compression
    return entry
