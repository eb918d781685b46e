"""Queries over index versions; an index of the table allows at most one active version."""

from datetime import datetime

from sqlalchemy import func, text
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import IndexVersion


async def get_index_version(
    session: AsyncSession, version: str, *, lock: bool = False
) -> IndexVersion | None:
    """A version, or None."""
    return await session.get(IndexVersion, version, with_for_update=lock or None)


async def lock_unfinished_versions(session: AsyncSession) -> list[IndexVersion]:
    """Versions that are being built, or whose build was killed."""
    query = select(IndexVersion).where(IndexVersion.status == "building")
    return list((await session.exec(query.with_for_update())).all())


async def get_active_version(session: AsyncSession) -> IndexVersion | None:
    """The version that answers searches."""
    query = select(IndexVersion).where(IndexVersion.status == "active")
    return (await session.exec(query)).one_or_none()


async def list_index_versions(
    session: AsyncSession, *, limit: int, after: tuple[datetime, str] | None = None
) -> list[IndexVersion]:
    """A page of index versions, newest first."""
    query = select(IndexVersion).order_by(
        col(IndexVersion.created_at).desc(), col(IndexVersion.version).desc()
    )
    if after is not None:
        created_at, version = after
        query = query.where(
            (col(IndexVersion.created_at) < created_at)
            | ((col(IndexVersion.created_at) == created_at) & (col(IndexVersion.version) < version))
        )
    return list((await session.exec(query.limit(limit))).all())


async def activate(session: AsyncSession, version: str) -> bool:
    """Activates a ready or retired version; returns False if it has another status."""
    await session.exec(select(func.pg_advisory_xact_lock(func.hashtext(text("'index_version'")))))
    candidate = select(IndexVersion.version).where(
        col(IndexVersion.version) == version,
        col(IndexVersion.status).in_(("ready", "retired", "active")),
    )
    if (await session.exec(candidate.with_for_update())).one_or_none() is None:
        return False
    await session.exec(
        update(IndexVersion)
        .where(col(IndexVersion.status) == "active", col(IndexVersion.version) != version)
        .values(status="retired")
    )
    await session.exec(
        update(IndexVersion)
        .where(col(IndexVersion.version) == version)
        .values(status="active", activated_at=func.now())
    )
    return True
