"""`studio index` on the servers that the settings name, where no studio runs."""

import asyncio
from pathlib import Path

from db.engine import Database
from db.tables import IndexVersion
from integrations.blobs.store import open_blob_store
from local.running import studio
from models.index.build import IndexWriter
from studio.index.files import store_files
from tests.support.fakes import make_settings


async def store_empty_version(url: str, folder: Path) -> None:
    """Stores a version without products in the blob store `folder`."""
    (folder / "version").mkdir(parents=True)
    with IndexWriter(folder / "version") as writer:
        writer.finish()
    blobs = open_blob_store(make_settings(url, "redis://nowhere", folder / "blobs"))
    manifest = await store_files(blobs, "empty", folder / "version")
    await blobs.aclose()
    database = Database(url, pool_size=1)
    async with database.transaction() as session:
        row = IndexVersion(version="empty", embedder_version="e", status="ready", manifest=manifest)
        session.add(row)
    await database.aclose()


def test_a_version_is_verified_where_no_studio_runs(database_url: str, tmp_path: Path) -> None:
    asyncio.run(store_empty_version(database_url, tmp_path))
    done = studio(
        tmp_path / "data", "index", "verify", "empty", STUDIO_DATABASE_URL=database_url,
        STUDIO_BLOB_URL=f"file://{tmp_path / 'blobs'}", STUDIO_JWT_SECRET="s" * 64,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ok   empty: 0 products")
