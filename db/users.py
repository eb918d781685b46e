"""Queries over accounts and their refresh tokens; the caller owns the transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy
from sqlalchemy import ARRAY, Uuid, bindparam, column, exists, func, inspect, tuple_
from sqlmodel import col, delete, select, update
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


async def get_role(session: AsyncSession, user_id: UUID) -> str | None:
    """An account's role right now; nothing is locked."""
    return (await session.exec(select(User.role).where(User.id == user_id))).one_or_none()


async def hold_owner(session: AsyncSession, user_id: UUID) -> None:
    """Until the transaction ends the account is there: as a row that refers to it would ask for."""
    query = select(User.id).where(User.id == user_id).with_for_update(read=True, key_share=True)
    await session.exec(query)


async def hold_user(session: AsyncSession, user_id: UUID) -> User | None:
    """One account as it is now (FOR SHARE): until the transaction ends nobody changes it.

    Whoever ends sessions changes it (`revoke_sessions`), so sessions opened under this lock are
    seen by them, or see what they did.
    """
    return await session.get(User, user_id, with_for_update={"read": True}, populate_existing=True)


async def find_account(
    session: AsyncSession, email: str, network: str | None
) -> tuple[str, User | None, bool]:
    """(the address in lower case as PostgreSQL sees it, its account, whether it is known there).

    network: of the caller; known is one from which somebody has signed in to this account. Asked
    in one query, which is the same for addresses without an account.
    """
    asked = select(func.lower(email).label("key")).subquery()
    is_known = exists().where(
        col(RefreshToken.user_id) == User.id, col(RefreshToken.network) == network
    )
    query = select(asked.c.key, User, is_known).outerjoin_from(
        asked, User, func.lower(User.email) == asked.c.key
    )
    key, user, known = (await session.exec(query)).one()
    return key, user, bool(known)


async def lock_admins(session: AsyncSession) -> list[UUID]:
    """All admins' ids; none of them can be changed until the end of the transaction."""
    query = select(User.id).where(User.role == "admin").order_by(col(User.id)).with_for_update()
    return list((await session.exec(query)).all())


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
        _tokens.c.version == _users.c.token_version,
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
    query = select(User).where(col(User.ended_at).is_(None))
    query = query.order_by(col(User.created_at).desc(), col(User.id).desc()).limit(limit)
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
    version: int,
    network: str | None = None,
) -> None:
    """One more link of a family; `issued_at` is the database's clock, so links are in order."""
    session.add(
        RefreshToken(
            family_id=family_id, user_id=user_id, token_hash=token_hash, expires_at=expires_at,
            version=version, network=network,
        )
    )  # fmt: skip
    await session.flush()


async def lock_refresh_token(session: AsyncSession, token_hash: bytes) -> RefreshToken | None:
    """The token of this hash, unless all sessions of its account have ended since.

    The account is held, and the family locked: one rotation runs at a time, and none beside the
    end of a session. Each lock is waited for before the row is read.
    """
    by_hash = select(RefreshToken).where(RefreshToken.token_hash == token_hash)
    found = (await session.exec(by_hash)).one_or_none()
    if found is None:
        return None
    user = await hold_user(session, found.user_id)
    await lock_family(session, found.family_id)
    again = by_hash.with_for_update().execution_options(populate_existing=True)
    token = (await session.exec(again)).one_or_none()
    if user is None or token is None or token.version != user.token_version:
        return None
    return token


async def lock_family(session: AsyncSession, family_id: UUID) -> None:
    """Until the end of the transaction nobody else rotates or ends this session."""
    key = func.hashtextextended(str(family_id), 0)
    await session.exec(select(func.pg_advisory_xact_lock(key)))


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
    """Ends a session: none of its tokens works any more. Whether it was open before.

    The caller has locked the family, or the account.
    """
    ended = await session.exec(
        update(RefreshToken)
        .where(col(RefreshToken.family_id) == family_id, col(RefreshToken.revoked_at).is_(None))
        .values(revoked_at=func.now())
    )
    return ended.rowcount > 0


async def revoke_sessions(
    session: AsyncSession, user_id: UUID, *, keep: UUID | None = None
) -> bool:
    """Ends all sessions of an account, but one that may be kept. Whether there is such an account.

    The first statement locks the account's row: sessions that are being opened or continued come
    before it, and are ended, or after it, and find another `token_version`.
    """
    raised = (
        update(User)
        .where(col(User.id) == user_id)
        .values(token_version=col(User.token_version) + 1)
        .returning(col(User.token_version))
    )
    version = (await session.exec(raised)).scalar_one_or_none()
    if version is None:
        return False
    is_open = (col(RefreshToken.user_id) == user_id, col(RefreshToken.revoked_at).is_(None))
    family = col(RefreshToken.family_id)
    others = update(RefreshToken).where(*is_open, family.is_distinct_from(keep))
    await session.exec(others.values(revoked_at=func.now()))
    if keep is not None:
        await session.exec(
            update(RefreshToken).where(*is_open, family == keep).values(version=version)
        )
    return True


async def end_user(session: AsyncSession, user_id: UUID) -> None:
    """Nobody can sign in any more, no session goes on, and the address is free."""
    await revoke_sessions(session, user_id)
    values = {
        "email": f"{uuid4()}@ended.invalid", "name": None, "password_hash": "", "role": "customer",
        "oidc_issuer": None, "oidc_subject": None,
        "ended_at": func.coalesce(col(User.ended_at), func.now()),
    }  # fmt: skip
    await session.exec(update(User).where(col(User.id) == user_id).values(values))


async def list_ended_users(session: AsyncSession) -> list[UUID]:
    """Accounts whose removal has begun."""
    return list((await session.exec(select(User.id).where(col(User.ended_at).is_not(None)))).all())


async def delete_user(session: AsyncSession, user_id: UUID) -> None:
    """Removes the row; nothing refers to it any more."""
    await session.exec(delete(User).where(col(User.id) == user_id))


async def get_database_time(session: AsyncSession) -> datetime:
    """The start of the transaction, by the clock that stamps the rows."""
    return (await session.exec(select(func.now()))).one()
