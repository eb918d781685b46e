"""Queries over regressor versions; at most one version of an owner is active."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import RegressorVersion

LOCK = 0x72_65_67
"""First half of the key of the advisory lock that serialises one owner's activations."""


async def get_regressor(session: AsyncSession, version: str) -> RegressorVersion | None:
    """One version of any owner, or None."""
    return await session.get(RegressorVersion, version)


async def get_active_regressor(session: AsyncSession, owner_id: UUID) -> RegressorVersion | None:
    """The owner's active version; None means the starter."""
    query = select(RegressorVersion).where(
        RegressorVersion.owner_id == owner_id, RegressorVersion.status == "active"
    )
    return (await session.exec(query)).one_or_none()


async def least_coverage(session: AsyncSession) -> float | None:
    """The least coverage that an active version had on held-out sales; None without any."""
    coverage = col(RegressorVersion.metrics)["coverage"].as_float()
    query = select(func.min(coverage)).where(RegressorVersion.status == "active")
    least: float | None = (await session.exec(query)).one()
    return least


async def list_regressors(
    session: AsyncSession, owner_id: UUID, *, limit: int, after: tuple[datetime, str] | None = None
) -> list[RegressorVersion]:
    """One owner's versions, newest first; after: (created_at, version) of the row before."""
    query = (
        select(RegressorVersion)
        .where(RegressorVersion.owner_id == owner_id)
        .order_by(col(RegressorVersion.created_at).desc(), col(RegressorVersion.version).desc())
    )
    if after is not None:
        created_at, version = after
        same_time = col(RegressorVersion.created_at) == created_at
        query = query.where(
            (col(RegressorVersion.created_at) < created_at)
            | (same_time & (col(RegressorVersion.version) < version))
        )
    return list((await session.exec(query.limit(limit))).all())


async def lock_regressors(session: AsyncSession, owner_id: UUID) -> None:
    """Serialises activations of this owner's versions until the transaction ends."""
    half = func.hashtext(str(owner_id))
    await session.exec(select(func.pg_advisory_xact_lock(LOCK, half)))


async def switch_regressor(session: AsyncSession, owner_id: UUID, version: str | None) -> None:
    """Activates one of the owner's versions, or none; the caller holds the lock."""
    await session.exec(
        update(RegressorVersion)
        .where(
            col(RegressorVersion.owner_id) == owner_id,
            col(RegressorVersion.status) == "active",
            col(RegressorVersion.version) != (version or ""),
        )
        .values(status="retired")
    )
    if version is not None:
        await session.exec(
            update(RegressorVersion)
            .where(col(RegressorVersion.version) == version)
            .values(status="active", activated_at=func.now())
        )
