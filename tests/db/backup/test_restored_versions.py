"""Versions whose files a backup lacks can't be activated after a restore."""

from typing import Any

from sqlmodel import select

from db.backup.restored_versions import fail_versions_without_files, mark_index_versions
from db.engine import Database
from db.tables import IndexVersion, RegressorVersion, User

FILES = {"vectors.npy": "sha256", "rows.json": "sha256"}


def index_version(version: str, status: str) -> IndexVersion:
    return IndexVersion(version=version, embedder_version="e", status=status, manifest=FILES)


async def statuses(database: Database, table: type[IndexVersion | RegressorVersion]) -> object:
    async with database.read() as session:
        rows: Any = await session.exec(select(table))
        return {row.version: row.status for row in rows}


async def test_versions_without_all_of_their_files_fail(database: Database) -> None:
    async with database.transaction() as session:
        owner = User(email="m@example.com", password_hash="x")
        session.add_all(
            [owner, *(index_version(f"i-{name}", name) for name in ("ready", "active"))]
        )
        session.add_all([index_version("i-half", "retired"), index_version("i-new", "building")])
        await session.flush()
        for version in ("r-whole", "r-half"):
            row = RegressorVersion(
                version=version, owner_id=owner.id, embedder_version="e", status="ready",
                manifest=FILES,
            )  # fmt: skip
            session.add(row)
    whole = ("indexes/i-ready", "indexes/i-active", "regressors/r-whole")
    keys = {f"{folder}/{name}" for folder in whole for name in FILES}
    keys |= {"indexes/i-half/rows.json", "regressors/r-half/vectors.npy"}
    async with database.transaction() as session:
        await fail_versions_without_files(session, keys)
    assert await statuses(database, IndexVersion) == {
        "i-ready": "ready", "i-active": "active", "i-half": "failed", "i-new": "building",
    }  # fmt: skip
    assert await statuses(database, RegressorVersion) == {"r-whole": "ready", "r-half": "failed"}


async def test_index_versions_name_the_backup_that_they_are_from(database: Database) -> None:
    async with database.transaction() as session:
        row = index_version("v", "ready")
        row.stats = {"image_recall": 0.97}
        session.add(row)
    async with database.transaction() as session:
        await mark_index_versions(session, "backup-1")
    async with database.read() as session:
        (stored,) = await session.exec(select(IndexVersion))
    assert stored.stats == {"image_recall": 0.97, "restored": "backup-1"}
