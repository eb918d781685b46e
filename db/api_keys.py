"""Queries over API keys; the caller owns the transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy
from sqlalchemy import ARRAY, LargeBinary, any_, bindparam, func, inspect, or_, tuple_
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import ApiKey, User

USE_PRECISION = timedelta(minutes=1)
"""`last_used_at` is written at most this often, so that a busy key costs few writes."""


@dataclass(frozen=True)
class KeyMatch:
    """A valid key and its account; `is_due`: its `last_used_at` should be written again."""

    key_id: UUID
    key_role: str
    is_due: bool
    user_id: UUID
    email: str
    name: str | None
    role: str
    token_version: int


# Every request with a key runs this query; as in `db.users`, it uses tables and is built once.
_keys: Any = inspect(ApiKey).local_table
_users: Any = inspect(User).local_table
_BY_HASH = (
    sqlalchemy.select(
        _keys.c.key_hash,
        _keys.c.id,
        _keys.c.role,
        or_(_keys.c.last_used_at.is_(None), _keys.c.last_used_at < func.now() - USE_PRECISION),
        _users.c.id,
        _users.c.email,
        _users.c.name,
        _users.c.role,
        _users.c.token_version,
    )
    .join(_users, _users.c.id == _keys.c.user_id)
    .where(
        _keys.c.key_hash == any_(bindparam("hashes", type_=ARRAY(LargeBinary))),
        or_(_keys.c.expires_at.is_(None), _keys.c.expires_at > func.now()),
        _users.c.ended_at.is_(None),
    )
)


async def match_keys(session: AsyncSession, hashes: Sequence[bytes]) -> dict[bytes, KeyMatch]:
    """The valid keys among these hashes, with their accounts."""
    rows = await session.exec(_BY_HASH, params={"hashes": list(hashes)})  # type: ignore[call-overload]
    return {bytes(row[0]): KeyMatch(*row[1:]) for row in rows}


async def note_use(session: AsyncSession, key_ids: Sequence[UUID]) -> None:
    """Sets `last_used_at` of these keys; skips those that another replica is writing."""
    due = select(ApiKey.id).where(col(ApiKey.id).in_(key_ids)).order_by(col(ApiKey.id))
    due = due.with_for_update(skip_locked=True)
    statement = update(ApiKey).where(col(ApiKey.id).in_(due)).values(last_used_at=func.now())
    await session.exec(statement)


async def insert_key(session: AsyncSession, key: ApiKey) -> ApiKey:
    """Inserts a key and returns its row."""
    session.add(key)
    await session.flush()
    await session.refresh(key)
    return key


async def count_keys(session: AsyncSession, user_id: UUID) -> int:
    """How many keys an account has, expired ones included."""
    query = select(func.count()).select_from(ApiKey).where(ApiKey.user_id == user_id)
    return (await session.exec(query)).one()


async def list_keys(
    session: AsyncSession, user_id: UUID, *, limit: int, after: tuple[datetime, UUID] | None
) -> list[ApiKey]:
    """A page of the account's keys, newest first."""
    query = select(ApiKey).where(ApiKey.user_id == user_id)
    query = query.order_by(col(ApiKey.created_at).desc(), col(ApiKey.id).desc()).limit(limit)
    if after is not None:
        query = query.where(tuple_(col(ApiKey.created_at), col(ApiKey.id)) < after)
    return list((await session.exec(query)).all())


async def delete_key(session: AsyncSession, user_id: UUID, key_id: UUID) -> str | None:
    """Deletes one key of the account. Returns its name; None if the account has no such key."""
    statement = delete(ApiKey).where(col(ApiKey.id) == key_id, col(ApiKey.user_id) == user_id)
    return (await session.exec(statement.returning(col(ApiKey.name)))).scalar_one_or_none()


async def delete_keys(session: AsyncSession, user_id: UUID) -> int:
    """Deletes every key of an account, whose row the caller has locked. Returns how many."""
    statement = delete(ApiKey).where(col(ApiKey.user_id) == user_id)
    return int((await session.exec(statement)).rowcount)
