"""Backups of the tests: made, restored, and what the index has afterwards."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from integrations.blobs.archive import open_archive_store
from studio.operations.archive import Archive, Manifest
from studio.operations.backup import make_backup
from studio.operations.restore import RestoreSummary, restore
from studio.ports import Studio
from tests.support.backups import answers, silent

COUNT = 60

NAMED = """
    SELECT array_agg(key)
    FROM (SELECT image_key FROM product UNION SELECT blob_key FROM files) AS named (key)
"""

STAMPED = ("index_version", "alembic_version", "erasure")
"""`index_version` is marked as restored."""


@asynccontextmanager
async def open_archive(place: str) -> AsyncIterator[Archive]:
    store = open_archive_store(place)
    yield Archive(store)
    await store.aclose()


async def back_up(studio: Studio, place: Path | str) -> Manifest:
    async with open_archive(str(place)) as archive:
        return await make_backup(studio.database, studio.blobs, archive, silent)


async def bring_back(
    studio: Studio, place: Path | str, *, force: bool = False, backup_id: str | None = None
) -> RestoreSummary:
    async with open_archive(str(place)) as archive:
        manifest = await archive.read_manifest(backup_id)
        return await restore(studio, archive, manifest, force=force, report=silent)


async def indexed_ids(studio: Studio) -> set[str]:
    """The ids of all products in the index."""
    return {product_id for product_id, _ in (await answers(studio, 1, top_k=100))[0]}


def ids_before(count: int) -> set[str]:
    return {f"p{number}" for number in range(count)}
