"""Sessions: families of rotating refresh tokens, of which only hashes are stored."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from db.api_keys import delete_keys
from db.audit import insert_audit
from db.sessions import is_family_of, list_open_sessions
from db.tables import RefreshToken, User
from db.users import (
    get_database_time,
    insert_refresh_token,
    list_successors,
    lock_family,
    lock_refresh_token,
    revoke_family,
    revoke_sessions,
    share_user,
)
from errors import NotAuthenticated, NotFound
from studio.context import current_request_id
from studio.ports import Studio

GRACE = timedelta(seconds=10)
IDLE = timedelta(days=7)
"""A session ends if its token is not refreshed for this long."""
TOKEN_BYTES = 32


@dataclass(frozen=True)
class SessionGrant:
    """An open session and its current refresh token."""

    session_id: UUID
    user_id: UUID
    refresh_token: str


@dataclass(frozen=True)
class OpenSession:
    """A session that can still be continued.

    Attributes:
        last_used_at: the last sign-in or refresh.
        network, user_agent: of the caller who signed in.
    """

    id: UUID
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    network: str | None
    user_agent: str | None


def hash_token(token: str) -> bytes:
    """SHA-256 of a token; a fast hash is enough for 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True)
class CheckedCredentials:
    """The credentials that a login was checked against; if they change, the login is refused."""

    password_hash: str | None
    token_version: int


async def open_session(
    session: AsyncSession,
    user_id: UUID,
    lifetime_days: int,
    *,
    expected: CheckedCredentials | None = None,
    network: str | None = None,
    user_agent: str | None = None,
) -> SessionGrant:
    """Opens a session; the account can't be changed until the transaction ends.

    The network and the user agent are stored, so that the owner recognises the session.

    Raises:
        NotAuthenticated: the account is deleted, or its credentials are not the `expected` ones.
    """
    user = await share_user(session, user_id)
    if user is None or not (expected is None or is_current(expected, user)):
        raise NotAuthenticated("the account was changed or signed out just now; sign in again")
    now = await get_database_time(session)
    expires_at = now + timedelta(days=lifetime_days)
    return await _issue(
        session, uuid4(), user_id, expires_at, user.token_version, network, user_agent
    )


def is_current(credentials: CheckedCredentials, user: User) -> bool:
    """Whether these are still the account's credentials."""
    is_same_password = credentials.password_hash in (None, user.password_hash)
    return is_same_password and credentials.token_version == user.token_version


async def _issue(
    session: AsyncSession,
    family_id: UUID,
    user_id: UUID,
    expires_at: datetime,
    version: int,
    network: str | None = None,
    user_agent: str | None = None,
) -> SessionGrant:
    token = secrets.token_urlsafe(TOKEN_BYTES)
    await insert_refresh_token(
        session,
        family_id=family_id,
        user_id=user_id,
        token_hash=hash_token(token),
        expires_at=expires_at,
        version=version,
        network=network,
        user_agent=user_agent,
    )
    return SessionGrant(family_id, user_id, token)


async def judge_token(
    session: AsyncSession, token: RefreshToken, now: datetime
) -> Literal["fresh", "repeated", "expired", "reused"]:
    """Whether a refresh with this token is allowed (fresh, repeated) or not (expired, reused).

    `repeated`: the first answer was probably lost, or two tabs refreshed at once. A second refresh
    is allowed within `GRACE`, while the token's only successor is unused.
    """
    if token.revoked_at is not None:
        return "reused"
    if token.expires_at <= now or token.issued_at + IDLE <= now:
        return "expired"
    if token.used_at is None:
        return "fresh"
    successors = await list_successors(session, token)
    is_unused = len(successors) == 1 and successors[0].used_at is None
    return "repeated" if is_unused and now - token.used_at <= GRACE else "reused"


async def refresh_session(studio: Studio, refresh_token: str, *, ip: str | None) -> SessionGrant:
    """Exchanges the session's last token for the next one.

    Raises:
        NotAuthenticated: the token is unknown or expired, or was used before. If it was used
            before, the whole session ends.
    """
    async with studio.database.transaction() as session:
        token = await lock_refresh_token(session, hash_token(refresh_token))
        if token is not None:
            now = await get_database_time(session)
            verdict = await judge_token(session, token, now)
            if verdict in ("fresh", "repeated"):
                return await _rotate(session, token, now)
            if verdict == "reused" and token.revoked_at is None:
                await revoke_family(session, token.family_id)
                insert_audit(
                    session, "REFRESH_REUSED", actor_id=token.user_id, outcome="refused",
                    subject=str(token.family_id), ip=ip, request_id=current_request_id(),
                )  # fmt: skip
    raise NotAuthenticated("the refresh token is not valid or was already used; sign in again")


async def _rotate(session: AsyncSession, token: RefreshToken, now: datetime) -> SessionGrant:
    """Marks the token and any unused successor as used, and issues a new token.

    The session still expires at the same time.
    """
    for row in (token, *await list_successors(session, token)):
        row.used_at = row.used_at or now
    return await _issue(session, token.family_id, token.user_id, token.expires_at, token.version)


async def close_session(studio: Studio, session_id: UUID, user_id: UUID, *, ip: str | None) -> None:
    """Ends a session; its refresh and access tokens are refused from now on."""
    async with studio.database.transaction() as session:
        await lock_family(session, session_id)
        await _close(session, session_id, user_id, ip)


async def close_session_of(studio: Studio, refresh_token: str, *, ip: str | None) -> None:
    """Ends the session of a refresh token; does nothing if the token is unknown."""
    async with studio.database.transaction() as session:
        token = await lock_refresh_token(session, hash_token(refresh_token))
        if token is not None:
            await _close(session, token.family_id, token.user_id, ip)


async def close_own_session(
    studio: Studio, session_id: UUID, user_id: UUID, *, ip: str | None
) -> None:
    """Ends one of the account's open sessions, like `close_session`.

    Raises:
        NotFound: the account has no such session, or it has ended.
    """
    async with studio.database.transaction() as session:
        if not await is_family_of(session, session_id, user_id):
            raise NotFound("no such session")
        await lock_family(session, session_id)
        if not await _close(session, session_id, user_id, ip):
            raise NotFound("no such session")


async def list_sessions(
    studio: Studio, user_id: UUID, *, limit: int, after: tuple[datetime, UUID] | None
) -> list[OpenSession]:
    """Reads the account's open sessions, newest first."""
    async with studio.database.read() as session:
        rows = await list_open_sessions(session, user_id, idle=IDLE, limit=limit, after=after)
    return [OpenSession(*row) for row in rows]


async def close_all_sessions(
    studio: Studio, user_id: UUID, *, actor_id: UUID, ip: str | None
) -> None:
    """Signs an account out everywhere. If somebody else does it, its API keys end too.

    The owner's servers continue to work when the owner signs out; an admin signs out an account
    that may be in wrong hands.

    Raises:
        NotFound: there is no such account.
    """
    async with studio.database.transaction() as session:
        if not await revoke_sessions(session, user_id):
            raise NotFound("no such account")
        if actor_id != user_id:
            await delete_keys(session, user_id)
        insert_audit(
            session, "LOGOUT_EVERYWHERE", actor_id=actor_id, subject=str(user_id), ip=ip,
            request_id=current_request_id(),
        )  # fmt: skip


async def _close(session: AsyncSession, family_id: UUID, user_id: UUID, ip: str | None) -> bool:
    """Ends a session, and adds it to the audit log if it was open. Returns whether it was."""
    was_open = await revoke_family(session, family_id)
    if was_open:
        insert_audit(
            session, "LOGOUT", actor_id=user_id, subject=str(family_id), ip=ip,
            request_id=current_request_id(),
        )  # fmt: skip
    return was_open
