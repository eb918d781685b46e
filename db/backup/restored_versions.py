"""Queries over index and regressor versions after a restore."""

from collections.abc import Collection

from sqlalchemy import func
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import IndexVersion, RegressorVersion


async def mark_index_versions(session: AsyncSession, backup_id: str) -> None:
    """Marks every index version as restored, so that replicas with a loaded version reload it."""
    restored = func.jsonb_build_object("restored", backup_id)
    await session.exec(
        update(IndexVersion).values(stats=col(IndexVersion.stats).op("||")(restored))
    )


async def fail_versions_without_files(session: AsyncSession, keys: Collection[str]) -> None:
    """Fails versions whose files are not all in `keys`, as they were removed during the backup."""
    for table, prefix in ((IndexVersion, "indexes"), (RegressorVersion, "regressors")):
        usable = col(table.status).in_(("ready", "active", "retired"))
        versions = await session.exec(select(table.version, table.manifest).where(usable))
        lost = [
            version
            for version, files in versions.all()
            if any(f"{prefix}/{version}/{name}" not in keys for name in files)
        ]
        await session.exec(
            update(table).where(col(table.version).in_(lost)).values(status="failed")
        )
