"""Queries over accounts and their refresh tokens; the caller owns the transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy
from sqlalchemy import ARRAY, Uuid, bindparam, column, exists, func, inspect, tuple_
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import RefreshToken, User


async def insert_user(
    session: AsyncSession, *, email: str, password_hash: str, name: str | None, role: str
) -> User:
    """Raises:
    IntegrityError: the address, compared without case, is taken.
    """
    user = User(email=email, password_hash=password_hash, name=name, role=role)
    session.add(user)
    await session.flush()
    await session.refresh(user)
    return user


async def get_user(session: AsyncSession, user_id: UUID, *, lock: bool = False) -> User | None:
    """One account, locked until the end of the transaction if asked."""
    return await session.get(User, user_id, with_for_update=lock or None)


async def get_user_by_email(
    session: AsyncSession, email: str, *, lock: bool = False
) -> User | None:
    """One account by its address, compared without case."""
    query = select(User).where(func.lower(User.email) == func.lower(email))
    return (await session.exec(query.with_for_update() if lock else query)).one_or_none()


async def get_user_by_subject(session: AsyncSession, issuer: str, subject: str) -> User | None:
    """One account by what an OpenID provider calls it."""
    query = select(User).where(User.oidc_issuer == issuer, User.oidc_subject == subject)
    return (await session.exec(query)).one_or_none()


# Asked by every request with a token: built once, for many at a time, and of tables, because
# what the ORM does for each statement would be a good part of the cost.
_users: Any = inspect(User).local_table
_tokens: Any = inspect(RefreshToken).local_table
_asked = func.unnest(
    bindparam("user_ids", type_=ARRAY(Uuid)), bindparam("family_ids", type_=ARRAY(Uuid))
).table_valued(column("user_id", Uuid), column("family_id", Uuid), name="asked")
_asked = _asked.render_derived()
_IN_SESSIONS = sqlalchemy.select(
    _asked.c.family_id,
    _users.c.id,
    _users.c.email,
    _users.c.name,
    _users.c.role,
    _users.c.token_version,
).where(
    _users.c.id == _asked.c.user_id,
    exists().where(
        _tokens.c.family_id == _asked.c.family_id,
        _tokens.c.user_id == _users.c.id,
        _tokens.c.revoked_at.is_(None),
    ),
)


async def get_accounts_in_sessions(
    session: AsyncSession, asked: Sequence[tuple[UUID, UUID]]
) -> dict[tuple[UUID, UUID], tuple[UUID, str, str | None, str, int]]:
    """(account, session) -> (id, email, name, role, token version); only open sessions."""
    user_ids, family_ids = zip(*set(asked), strict=True)
    given = {"user_ids": list(user_ids), "family_ids": list(family_ids)}
    rows = await session.exec(_IN_SESSIONS, params=given)  # type: ignore[call-overload]
    return {(row[1], row[0]): tuple(row[1:]) for row in rows}


async def list_users(
    session: AsyncSession, *, limit: int, after: tuple[datetime, UUID] | None
) -> list[User]:
    """Newest first."""
    query = select(User).order_by(col(User.created_at).desc(), col(User.id).desc()).limit(limit)
    if after is not None:
        query = query.where(tuple_(col(User.created_at), col(User.id)) < after)
    return list((await session.exec(query)).all())


async def insert_refresh_token(
    session: AsyncSession,
    *,
    family_id: UUID,
    user_id: UUID,
    token_hash: bytes,
    expires_at: datetime,
) -> None:
    """One more link of a family; `issued_at` is the database's clock, so links are in order."""
    session.add(
        RefreshToken(
            family_id=family_id, user_id=user_id, token_hash=token_hash, expires_at=expires_at
        )
    )
    await session.flush()


async def lock_refresh_token(session: AsyncSession, token_hash: bytes) -> RefreshToken | None:
    """The token of this hash; its family is locked, so that one rotation runs at a time."""
    by_hash = select(RefreshToken).where(RefreshToken.token_hash == token_hash)
    token = (await session.exec(by_hash)).one_or_none()
    if token is None:
        return None
    key = func.hashtextextended(str(token.family_id), 0)
    await session.exec(select(func.pg_advisory_xact_lock(key)))
    await session.refresh(token)
    return token


async def list_successors(session: AsyncSession, token: RefreshToken) -> list[RefreshToken]:
    """The family's first two tokens that were issued after this one."""
    found = await session.exec(
        select(RefreshToken)
        .where(
            RefreshToken.family_id == token.family_id,
            RefreshToken.issued_at > token.issued_at,
        )
        .order_by(col(RefreshToken.issued_at))
        .limit(2)
    )
    return list(found.all())


async def revoke_family(session: AsyncSession, family_id: UUID) -> bool:
    """Ends a session: none of its tokens works any more. Whether it was open before."""
    ended = await session.exec(
        update(RefreshToken)
        .where(col(RefreshToken.family_id) == family_id, col(RefreshToken.revoked_at).is_(None))
        .values(revoked_at=func.now())
    )
    return ended.rowcount > 0


async def revoke_sessions(
    session: AsyncSession, user_id: UUID, *, keep: UUID | None = None
) -> None:
    """Ends all sessions of an account, but one that may be kept."""
    await session.exec(
        update(RefreshToken)
        .where(
            col(RefreshToken.user_id) == user_id,
            col(RefreshToken.revoked_at).is_(None),
            col(RefreshToken.family_id).is_distinct_from(keep),
        )
        .values(revoked_at=func.now())
    )


async def get_database_time(session: AsyncSession) -> datetime:
    """The start of the transaction, by the clock that stamps the rows."""
    return (await session.exec(select(func.now()))).one()
