"""Queries over regressor versions and predictions; at most one version of an owner is active."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import RegressorVersion

LOCK = 0x72_65_67
"""First half of the advisory lock that one owner's activations take in turn."""


async def get_regressor(session: AsyncSession, version: str) -> RegressorVersion | None:
    """One version, anyone's."""
    return await session.get(RegressorVersion, version)


async def get_active_regressor(session: AsyncSession, owner_id: UUID) -> RegressorVersion | None:
    """The version that answers this owner; None: the starter does."""
    query = select(RegressorVersion).where(
        RegressorVersion.owner_id == owner_id, RegressorVersion.status == "active"
    )
    return (await session.exec(query)).one_or_none()


async def list_regressors(
    session: AsyncSession, owner_id: UUID, *, limit: int, after: tuple[datetime, str] | None = None
) -> list[RegressorVersion]:
    """One owner's versions, newest first."""
    query = (
        select(RegressorVersion)
        .where(RegressorVersion.owner_id == owner_id)
        .order_by(col(RegressorVersion.created_at).desc(), col(RegressorVersion.version).desc())
    )
    if after is not None:
        at, version = after
        query = query.where(
            (col(RegressorVersion.created_at) < at)
            | ((col(RegressorVersion.created_at) == at) & (col(RegressorVersion.version) < version))
        )
    return list((await session.exec(query.limit(limit))).all())


async def lock_regressors(session: AsyncSession, owner_id: UUID) -> None:
    """Until the transaction ends nobody else changes which version answers this owner."""
    half = func.hashtext(str(owner_id))
    await session.exec(select(func.pg_advisory_xact_lock(LOCK, half)))


async def switch_regressor(session: AsyncSession, owner_id: UUID, version: str | None) -> None:
    """Makes one of the owner's versions the active one, or none; the lock is held."""
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
