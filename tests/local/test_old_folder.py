"""A data folder of an earlier commit is opened: migrated, with all its rows and pictures.

`tests/support/old_folder.py` made the archive with the studio of that commit.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx

from local.demo import seed
from local.folder import DataFolder
from local.running import RunningStudio
from models.index.files import open_files
from settings import Settings
from studio.index.files import fetch_files
from tests.support.fakes import FakeEmbedder, open_client, open_studio
from tests.support.old_folder import (
    DEMO_PRODUCTS,
    EMAIL,
    PASSWORD,
    Manifest,
    Rows,
    read_tables,
    unpack,
)

ARCHIVE = Path(__file__).parent / "data" / "folder-69772be.tar.xz"
NEVER_EMPTY = {
    "users", "files", "product", "product_embedding", "index_version", "job", "job_event",
    "payment", "webhook_event", "tryon_job", "segmentation_result", "search_log", "audit_log",
    "refresh_token",
}  # fmt: skip
"""Tables of which the archive has rows, so that the test compares something."""


def old_columns(rows: Rows, old_rows: Rows) -> Rows:
    """The rows with those columns that the old table had, in a fixed order."""
    names = old_rows[0].keys() if old_rows else ()
    return sorted(({name: row.get(name) for name in names} for row in rows), key=str)


def check_rows(tables: dict[str, Rows], manifest: Manifest) -> None:
    """Requires that every old row is there, and no other one."""
    for name, old_rows in manifest.tables.items():
        assert len(tables[name]) == len(old_rows), name
        assert old_columns(tables[name], old_rows) == old_columns(old_rows, old_rows), name


def settings_of(data_dir: Path) -> Settings:
    """The settings of the studio that runs in the folder."""
    folder = DataFolder(data_dir)
    facts = folder.running()
    assert facts is not None
    return Settings(
        database_url=facts["database_url"], redis_url=facts["redis_url"],
        blob_url=facts["blob_url"], jwt_secret=folder.secret("jwt_secret"),
        data_dir=data_dir, public_url="http://studio.test", demo_products=DEMO_PRODUCTS,
    )  # fmt: skip


# Slow: the whole studio starts on the folder.
async def test_an_old_folder_comes_up_with_every_row_and_every_picture(
    data_dir: Path, start_studio: Callable[..., RunningStudio]
) -> None:
    manifest = unpack(ARCHIVE, data_dir)
    assert {name for name, rows in manifest.tables.items() if rows} >= NEVER_EMPTY
    start_studio().wait_ready()
    settings = settings_of(data_dir)
    database_url = settings.required("database_url")
    tables = await read_tables(database_url)
    assert tables["alembic_version"] != [{"version_num": manifest.revision}], "nothing was migrated"
    check_rows(tables, manifest)
    async with open_studio(settings) as studio:
        for key, sha256 in manifest.blobs.items():
            assert hashlib.sha256(await studio.blobs.get(key)).hexdigest() == sha256, key
        (active,) = (row for row in tables["index_version"] if row["status"] == "active")
        folder = await fetch_files(
            studio.blobs, active["version"], active["manifest"], data_dir / "cache"
        )
        ids = open_files(folder).ids
        assert [ids[row] for row in range(len(ids))] == sorted(
            product["id"] for product in tables["product"]
        )
        async with open_client(studio) as client:
            await check_answers(client, manifest)
        tables = await read_tables(database_url)
        embedder = FakeEmbedder(active["embedder_version"])
        await seed(replace(studio, embedder=embedder), lambda done, total, what: None)
    seeded = await read_tables(database_url)
    assert seeded == tables, "the demo was complete"


async def check_answers(client: httpx.AsyncClient, manifest: Manifest) -> None:
    """The customer signs in by the old password and finds what was made."""
    answer = await client.post("/api/auth/login", json={"email": EMAIL, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    headers = {"Authorization": f"Bearer {answer.json()['accessToken']}"}
    tryons = (await client.get("/api/cv/tryons", headers=headers)).json()["items"]
    assert len(tryons) == len(manifest.tables["tryon_job"]) == 2
    sha256s = set(manifest.blobs.values())
    for tryon in tryons:
        picture = await client.get(tryon["outputUrl"])
        assert hashlib.sha256(picture.content).hexdigest() in sha256s
    (payment,) = manifest.tables["payment"]
    order = await client.get(f"/api/paypal/orders/{payment['order_id']}", headers=headers)
    assert order.json()["status"] == payment["status"] == "PARTIALLY_REFUNDED"
    products = (await client.get("/api/catalog/products")).json()["items"]
    assert len(products) == DEMO_PRODUCTS
