"""Sessions: families of rotating refresh tokens, of which only hashes are kept."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from db.audit import insert_audit
from db.tables import RefreshToken, User
from db.users import (
    get_database_time,
    hold_user,
    insert_refresh_token,
    list_successors,
    lock_family,
    lock_refresh_token,
    revoke_family,
    revoke_sessions,
)
from errors import NotAuthenticated, NotFound
from studio.context import current_request_id
from studio.ports import Studio

GRACE = timedelta(seconds=10)
IDLE = timedelta(days=7)
"""A session that nobody continued for so long is over, whatever its last day."""
TOKEN_BYTES = 32


@dataclass(frozen=True)
class SignedIn:
    """A session and the one refresh token that continues it."""

    session_id: UUID
    user_id: UUID
    refresh_token: str


def hash_token(token: str) -> bytes:
    """A fast hash is right here: the token has 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True)
class Judged:
    """What a sign-in was judged by: it must still hold when the session is opened."""

    password_hash: str | None
    token_version: int


async def open_session(
    session: AsyncSession,
    user_id: UUID,
    lifetime_days: int,
    *,
    judged: Judged | None = None,
    network: str | None = None,
) -> SignedIn:
    """A new family with its first token; the account is held until the transaction ends.

    Raises:
        NotAuthenticated: the account is gone, has another password since, or was signed out.
    """
    user = await hold_user(session, user_id)
    if user is None or not (judged is None or holds(judged, user)):
        raise NotAuthenticated("the account was changed or signed out just now; sign in again")
    now = await get_database_time(session)
    expires_at = now + timedelta(days=lifetime_days)
    return await _issue(session, uuid4(), user_id, expires_at, user.token_version, network)


def holds(judged: Judged, user: User) -> bool:
    """Whether the account is still what the sign-in was judged by."""
    is_same_password = judged.password_hash in (None, user.password_hash)
    return is_same_password and judged.token_version == user.token_version


async def _issue(
    session: AsyncSession,
    family_id: UUID,
    user_id: UUID,
    expires_at: datetime,
    version: int,
    network: str | None = None,
) -> SignedIn:
    token = secrets.token_urlsafe(TOKEN_BYTES)
    await insert_refresh_token(
        session,
        family_id=family_id,
        user_id=user_id,
        token_hash=hash_token(token),
        expires_at=expires_at,
        version=version,
        network=network,
    )
    return SignedIn(family_id, user_id, token)


async def judge(
    session: AsyncSession, token: RefreshToken, now: datetime
) -> Literal["fresh", "repeated", "expired", "reused"]:
    """What presenting this token means.

    `repeated`: its answer was likely lost, or two tabs asked at once: within `GRACE`, while
    its one successor is untouched, it may be asked once more.
    """
    if token.revoked_at is not None:
        return "reused"
    if token.expires_at <= now or token.issued_at + IDLE <= now:
        return "expired"
    if token.used_at is None:
        return "fresh"
    successors = await list_successors(session, token)
    untouched = len(successors) == 1 and successors[0].used_at is None
    return "repeated" if untouched and now - token.used_at <= GRACE else "reused"


async def refresh_session(studio: Studio, refresh_token: str, *, ip: str | None) -> SignedIn:
    """The next token of the session, in exchange for the last one.

    Raises:
        NotAuthenticated: unknown, expired, or used before; then the whole session ends.
    """
    async with studio.database.transaction() as session:
        token = await lock_refresh_token(session, hash_token(refresh_token))
        if token is not None:
            now = await get_database_time(session)
            verdict = await judge(session, token, now)
            if verdict in ("fresh", "repeated"):
                return await _rotate(session, token, now)
            if verdict == "reused" and token.revoked_at is None:
                await revoke_family(session, token.family_id)
                insert_audit(
                    session, "REFRESH_REUSED", actor_id=token.user_id, outcome="refused",
                    subject=str(token.family_id), ip=ip, request_id=current_request_id(),
                )  # fmt: skip
    raise NotAuthenticated("the refresh token is not valid (any more); sign in again")


async def _rotate(session: AsyncSession, token: RefreshToken, now: datetime) -> SignedIn:
    """The old token and any untouched successor are spent; the family's end stays fixed."""
    for spent in (token, *await list_successors(session, token)):
        spent.used_at = spent.used_at or now
    return await _issue(session, token.family_id, token.user_id, token.expires_at, token.version)


async def close_session(studio: Studio, session_id: UUID, user_id: UUID, *, ip: str | None) -> None:
    """Ends a session: its refresh and access tokens are refused from now on."""
    async with studio.database.transaction() as session:
        await lock_family(session, session_id)
        await _close(session, session_id, user_id, ip)


async def close_session_of(studio: Studio, refresh_token: str, *, ip: str | None) -> None:
    """Ends the session of a refresh token; quiet where it is unknown."""
    async with studio.database.transaction() as session:
        token = await lock_refresh_token(session, hash_token(refresh_token))
        if token is not None:
            await _close(session, token.family_id, token.user_id, ip)


async def close_all_sessions(
    studio: Studio, user_id: UUID, *, actor_id: UUID, ip: str | None
) -> None:
    """Signs an account out everywhere.

    Raises:
        NotFound: no such account.
    """
    async with studio.database.transaction() as session:
        if not await revoke_sessions(session, user_id):
            raise NotFound("no such account")
        insert_audit(
            session, "LOGOUT_EVERYWHERE", actor_id=actor_id, subject=str(user_id), ip=ip,
            request_id=current_request_id(),
        )  # fmt: skip


async def _close(session: AsyncSession, family_id: UUID, user_id: UUID, ip: str | None) -> None:
    """Noted once: what has ended already leaves no second line."""
    if await revoke_family(session, family_id):
        insert_audit(
            session, "LOGOUT", actor_id=user_id, subject=str(family_id), ip=ip,
            request_id=current_request_id(),
        )  # fmt: skip
