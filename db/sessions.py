"""Queries over the open sessions of an account; `db.users` has those over their tokens."""

from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy
from sqlalchemy import func, tuple_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import RefreshToken, User

SessionRow = tuple[UUID, datetime, datetime, datetime, str | None, str | None]
"""Id, start, last sign-in or refresh, end, network and user agent of an open session."""


async def list_open_sessions(
    session: AsyncSession,
    user_id: UUID,
    *,
    idle: timedelta,
    limit: int,
    after: tuple[datetime, UUID] | None,
) -> list[SessionRow]:
    """A page of the account's sessions, newest first; those unused for `idle` are over."""
    created_at, last_used_at = func.min(RefreshToken.issued_at), func.max(RefreshToken.issued_at)
    family = col(RefreshToken.family_id)
    query = (
        sqlalchemy.select(
            family,
            created_at,
            last_used_at,
            func.max(RefreshToken.expires_at),
            func.max(RefreshToken.network),
            func.max(RefreshToken.user_agent),
        )
        .join(User, col(User.id) == RefreshToken.user_id)
        .where(
            col(RefreshToken.user_id) == user_id,
            col(RefreshToken.version) == User.token_version,
            col(RefreshToken.revoked_at).is_(None),
            col(RefreshToken.expires_at) > func.now(),
        )
        .group_by(family)
        .having(last_used_at > func.now() - idle)
        .order_by(created_at.desc(), family.desc())
        .limit(limit)
    )
    if after is not None:
        query = query.having(tuple_(created_at, family) < after)
    rows = await session.exec(query)  # type: ignore[call-overload]
    return [tuple(row) for row in rows]


async def is_family_of(session: AsyncSession, family_id: UUID, user_id: UUID) -> bool:
    """Whether the session belongs to this account."""
    query = select(RefreshToken.id).where(
        RefreshToken.family_id == family_id, RefreshToken.user_id == user_id
    )
    return (await session.exec(query.limit(1))).first() is not None
