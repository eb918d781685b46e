"""Queries over accounts and their refresh tokens; the caller owns the transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy
from sqlalchemy import ARRAY, Uuid, bindparam, column, exists, func, inspect, tuple_
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import ApiKey, RefreshToken, User


async def insert_user(
    session: AsyncSession, *, email: str, password_hash: str, name: str | None, role: str
) -> User:
    """Inserts an account and returns its row.

    Raises:
        IntegrityError: the address, compared without case, has an account already.
    """
    user = User(email=email, password_hash=password_hash, name=name, role=role)
    session.add(user)
    await session.flush()
    await session.refresh(user)
    return user


async def get_user(session: AsyncSession, user_id: UUID, *, lock: bool = False) -> User | None:
    """One account; `lock` keeps others from changing it until the transaction ends."""
    return await session.get(User, user_id, with_for_update=lock or None)


async def get_role(session: AsyncSession, user_id: UUID) -> str | None:
    """An account's current role, without a lock."""
    return (await session.exec(select(User.role).where(User.id == user_id))).one_or_none()


async def hold_owner(session: AsyncSession, user_id: UUID) -> None:
    """Keeps an account from being deleted until the transaction ends (FOR KEY SHARE)."""
    query = select(User.id).where(User.id == user_id).with_for_update(read=True, key_share=True)
    await session.exec(query)


async def share_user(session: AsyncSession, user_id: UUID) -> User | None:
    """One account as it is now; nobody changes it until the transaction ends (FOR SHARE).

    `revoke_sessions` changes it. So a session that is opened under this lock is either ended by it,
    or opened with the new `token_version`.
    """
    return await session.get(User, user_id, with_for_update={"read": True}, populate_existing=True)


async def get_account_for_login(
    session: AsyncSession, email: str, network: str | None
) -> tuple[str, User | None, bool]:
    """(the address in PostgreSQL's lower case, its account, whether the network is known).

    network: the caller's; it is known if it was used to sign in to this account before. The query
    is the same for addresses without an account.
    """
    address = select(func.lower(email).label("key")).subquery()
    is_known = exists().where(
        col(RefreshToken.user_id) == User.id, col(RefreshToken.network) == network
    )
    query = select(address.c.key, User, is_known).outerjoin_from(
        address, User, func.lower(User.email) == address.c.key
    )
    key, user, is_known_network = (await session.exec(query)).one()
    return key, user, bool(is_known_network)


async def lock_admins(session: AsyncSession) -> list[UUID]:
    """The ids of all admins, whom nobody can change until the transaction ends."""
    query = select(User.id).where(User.role == "admin").order_by(col(User.id)).with_for_update()
    return list((await session.exec(query)).all())


async def get_user_by_email(
    session: AsyncSession, email: str, *, lock: bool = False
) -> User | None:
    """One account by its address, compared without case."""
    query = select(User).where(func.lower(User.email) == func.lower(email))
    return (await session.exec(query.with_for_update() if lock else query)).one_or_none()


async def get_user_by_subject(session: AsyncSession, issuer: str, subject: str) -> User | None:
    """One account by its identity at an OpenID provider."""
    query = select(User).where(User.oidc_issuer == issuer, User.oidc_subject == subject)
    return (await session.exec(query)).one_or_none()


# Every request with a token runs this query. It is built once, answers many requests, and uses
# tables, because the ORM's work for each statement would be a large part of the cost.
_users: Any = inspect(User).local_table
_tokens: Any = inspect(RefreshToken).local_table
_requested = func.unnest(
    bindparam("user_ids", type_=ARRAY(Uuid)), bindparam("family_ids", type_=ARRAY(Uuid))
).table_valued(column("user_id", Uuid), column("family_id", Uuid), name="requested")
_requested = _requested.render_derived()
_IN_SESSIONS = sqlalchemy.select(
    _requested.c.family_id,
    _users.c.id,
    _users.c.email,
    _users.c.name,
    _users.c.role,
    _users.c.token_version,
).where(
    _users.c.id == _requested.c.user_id,
    exists().where(
        _tokens.c.family_id == _requested.c.family_id,
        _tokens.c.user_id == _users.c.id,
        _tokens.c.version == _users.c.token_version,
        _tokens.c.revoked_at.is_(None),
    ),
)


async def get_accounts_in_sessions(
    session: AsyncSession, sessions: Sequence[tuple[UUID, UUID]]
) -> dict[tuple[UUID, UUID], tuple[UUID, str, str | None, str, int]]:
    """(account, session) -> (id, email, name, role, token version), for sessions that are open."""
    user_ids, family_ids = zip(*set(sessions), strict=True)
    params = {"user_ids": list(user_ids), "family_ids": list(family_ids)}
    rows = await session.exec(_IN_SESSIONS, params=params)  # type: ignore[call-overload]
    return {(row[1], row[0]): tuple(row[1:]) for row in rows}


async def list_users(
    session: AsyncSession, *, limit: int, after: tuple[datetime, UUID] | None
) -> list[User]:
    """A page of accounts that have not ended, newest first."""
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
    user_agent: str | None = None,
) -> None:
    """Adds a token to a family; `issued_at` is the database's clock, so tokens are in order."""
    session.add(
        RefreshToken(
            family_id=family_id, user_id=user_id, token_hash=token_hash, expires_at=expires_at,
            version=version, network=network, user_agent=user_agent,
        )
    )  # fmt: skip
    await session.flush()


async def lock_refresh_token(session: AsyncSession, token_hash: bytes) -> RefreshToken | None:
    """The token with this hash; None if all sessions of its account have ended since.

    Locks the account (shared) and the family: one rotation runs at a time, and none while a session
    ends. The row is read after both locks.
    """
    by_hash = select(RefreshToken).where(RefreshToken.token_hash == token_hash)
    unlocked = (await session.exec(by_hash)).one_or_none()
    if unlocked is None:
        return None
    user = await share_user(session, unlocked.user_id)
    await lock_family(session, unlocked.family_id)
    again = by_hash.with_for_update().execution_options(populate_existing=True)
    token = (await session.exec(again)).one_or_none()
    if user is None or token is None or token.version != user.token_version:
        return None
    return token


async def lock_family(session: AsyncSession, family_id: UUID) -> None:
    """Keeps others from rotating or ending this session until the transaction ends."""
    key = func.hashtextextended(str(family_id), 0)
    await session.exec(select(func.pg_advisory_xact_lock(key)))


async def list_successors(session: AsyncSession, token: RefreshToken) -> list[RefreshToken]:
    """The family's first two tokens that were issued after this one."""
    tokens = await session.exec(
        select(RefreshToken)
        .where(
            RefreshToken.family_id == token.family_id,
            RefreshToken.issued_at > token.issued_at,
        )
        .order_by(col(RefreshToken.issued_at))
        .limit(2)
    )
    return list(tokens.all())


async def revoke_family(session: AsyncSession, family_id: UUID) -> bool:
    """Ends a session, whose tokens no longer work. Returns whether it was open.

    The caller has locked the family or the account.
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
    """Ends all sessions of an account, except `keep`. Returns whether there is such an account.

    The first statement locks the account's row. A session that is opened or continued meanwhile is
    committed before, and is ended, or comes later and has another `token_version`.
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
    """Ends an account: nobody can sign in, sessions and API keys end, and its address is free."""
    await revoke_sessions(session, user_id)
    await session.exec(delete(ApiKey).where(col(ApiKey.user_id) == user_id))
    values = {
        "email": f"{uuid4()}@ended.invalid", "name": None, "password_hash": "", "role": "customer",
        "oidc_issuer": None, "oidc_subject": None,
        "ended_at": func.coalesce(col(User.ended_at), func.now()),
    }  # fmt: skip
    await session.exec(update(User).where(col(User.id) == user_id).values(values))


async def list_ended_users(session: AsyncSession) -> list[UUID]:
    """The ids of accounts whose removal has begun."""
    return list((await session.exec(select(User.id).where(col(User.ended_at).is_not(None)))).all())


async def delete_user(session: AsyncSession, user_id: UUID) -> None:
    """Deletes the row; no other row may refer to it."""
    await session.exec(delete(User).where(col(User.id) == user_id))


async def get_database_time(session: AsyncSession) -> datetime:
    """The start of the transaction, by the database's clock."""
    return (await session.exec(select(func.now()))).one()
