"""The end of an account: with all it uploaded and all that was made of it.

First the account ends: nobody can sign in to it, and its address is free. Then its rows go, some in
each transaction, however many there are; the tidy carries on where that was interrupted. Payments
and audit lines stay, without personal columns, because the law asks for them.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlmodel.ext.asyncio.session import AsyncSession

from db.audit import insert_audit
from db.deletion.account_rows import (
    clear_owned,
    delete_owned,
    get_session_start,
    list_own_versions,
)
from db.deletion.erasures import doom_blobs, insert_erasure
from db.deletion.lineage import forget_garments, lock_lineage
from db.deletion.product_removal import empty_some_products
from db.engine import Database
from db.tables import User
from db.users import (
    delete_user,
    end_user,
    get_database_time,
    get_role,
    get_user,
    list_ended_users,
    lock_admins,
)
from errors import Conflict, Forbidden, Invalid, NotFound, StudioError, Unavailable
from studio.accounts.accounts import require_password
from studio.context import current_request_id
from studio.deletion.blob_removal import BATCH, remove_soon
from studio.deletion.lifecycle import TABLES
from studio.deletion.lineage import delete_own_jobs
from studio.ports import BlobStore, Studio

FRESH = timedelta(minutes=5)
"""So young a sign-in by OpenID stands for a password."""
ROWS = 1000
"""Of one table in one transaction."""
PRODUCTS = 100
"""In one transaction, which holds the lock of the whole catalogue."""
STEPS_AT_ONCE = 20
"""So many transactions a request waits for; the tidy does the rest."""

log = structlog.get_logger("studio.accounts")


async def delete_own_account(
    studio: Studio, user_id: UUID, *, password: str | None, session_id: UUID, ip: str | None
) -> None:
    """Removes the account of whoever proves to be its owner.

    Raises:
        Invalid: a password is needed and none was given.
        Forbidden: the password is wrong, or the sign-in by OpenID is too old.
        SlowDown: too many failures lately.
        Conflict: the password was changed just now, or it is the last admin's account.
    """
    password_hash = await _confirm(studio, user_id, password, session_id, ip)
    async with studio.database.transaction() as session:
        role = await _refuse_last_admin(session, user_id)
        user = await get_user(session, user_id, lock=True)
        if user is None:
            raise NotFound("no such account")
        if (user.password_hash, user.role) != (password_hash, role):
            raise Conflict("the password or the role was changed just now")
        await end_account(session, user_id)
    try:
        keys = await remove_account(studio.database, studio.blobs, user_id, steps=STEPS_AT_ONCE)
    except StudioError as error:
        log.warning("accounts.removal_waits", reason=error.detail)
    else:
        await remove_soon(studio.database, studio.blobs, keys)


async def _refuse_last_admin(session: AsyncSession, user_id: UUID) -> str | None:
    """The account's role. Before the account is locked: admins are, in the order of their ids.

    Raises:
        Conflict: there is no other admin.
    """
    role = await get_role(session, user_id)
    if role == "admin" and await lock_admins(session) == [user_id]:
        raise Conflict("the last admin's account can't be deleted; name another admin first")
    return role


async def _confirm(
    studio: Studio, user_id: UUID, password: str | None, session_id: UUID, ip: str | None
) -> str:
    """The hash that the proof was judged by; raises as `delete_own_account`."""
    async with studio.database.transaction() as session:
        user = await get_user(session, user_id)
        if user is None:
            raise NotFound("no such account")
        if password is None:
            await _require_fresh(session, user, session_id)
            return user.password_hash
    return (await require_password(studio, user_id, password, ip=ip)).password_hash


async def _require_fresh(session: AsyncSession, user: User, session_id: UUID) -> None:
    if user.oidc_subject is None:
        raise Invalid("give the account's password")
    started_at = await get_session_start(session, session_id)
    if started_at is None or await get_database_time(session) - started_at > FRESH:
        raise Forbidden("sign in once more, and repeat this within five minutes")


async def end_account(session: AsyncSession, user_id: UUID) -> None:
    """From the commit on nothing new starts in the account's name."""
    await end_user(session, user_id)
    insert_erasure(session, "account", str(user_id))
    insert_audit(
        session, "ACCOUNT_DELETED", actor_id=user_id, subject=str(user_id),
        request_id=current_request_id(),
    )  # fmt: skip


async def remove_ended(database: Database, blobs: BlobStore) -> int:
    """Carries on removals of ended accounts; how many accounts there were."""
    async with database.read() as session:
        ended = await list_ended_users(session)
    for user_id in ended:
        try:
            await remove_account(database, blobs, user_id)
        except (StudioError, SQLAlchemyError) as error:
            log.warning("accounts.removal_waits", error=str(error))
    return len(ended)


async def remove_account(
    database: Database, blobs: BlobStore, user_id: UUID, *, steps: int | None = None
) -> list[str]:
    """Every row of an ended account, in so many transactions at most; blobs to remove first.

    Raises:
        Unavailable: database or blob store are away; it can be repeated.
    """
    keys = await _doom_stored(database, blobs, user_id)
    done = 0
    while steps is None or done < steps:
        more = await _remove_some(database, user_id)
        if more is None:
            return keys
        keys = [*keys, *more][:BATCH]
        done += 1
    return keys


async def _doom_stored(database: Database, blobs: BlobStore, user_id: UUID) -> list[str]:
    """What lies under the account's own names goes, with or without a row; the first keys of it."""
    async with database.read() as session:
        versions = await list_own_versions(session, user_id)
    prefixes = [f"uploads/{user_id}/", f"masks/{user_id}/"]
    first: list[str] = []
    page: list[str] = []
    for prefix in [*prefixes, *(f"regressors/{version}/" for version in versions)]:
        async for key in blobs.list(prefix):
            page.append(key)
            if len(page) == ROWS:
                await _doom(database, page)
                first, page = [*first, *page][:BATCH], []
    await _doom(database, page)
    return [*first, *page][:BATCH]


async def _doom(database: Database, keys: Sequence[str]) -> None:
    async with database.transaction() as session:
        await doom_blobs(session, keys)


async def _remove_some(database: Database, user_id: UUID) -> set[str] | None:
    """One transaction of the removal: the blobs that go with it; None when the account is gone.

    Products and jobs come first, in transactions of their own: see the order of locks in
    `db.deletion.lineage`. A row that somebody else has written just now is seen once the
    account's row is locked, or fails for want of it.
    """
    async with database.transaction() as session:
        count, keys = await empty_some_products(session, user_id, limit=PRODUCTS)
        if count:
            await doom_blobs(session, keys)
            await forget_garments(session, keys)
            return keys
    async with database.transaction() as session:
        count, keys = await delete_own_jobs(session, user_id, limit=ROWS)
        if count:
            return keys
    try:
        async with database.transaction() as session:
            await lock_lineage(session, user_id)
            if await get_user(session, user_id, lock=True) is None:
                return None
            is_rest, keys = await _delete_rows(session, user_id)
            await doom_blobs(session, keys)
            if is_rest:
                await delete_user(session, user_id)
            return keys
    except IntegrityError:
        raise Unavailable("something was written for the account meanwhile") from None


async def _delete_rows(session: AsyncSession, user_id: UUID) -> tuple[bool, set[str]]:
    """Some rows of the first table that has many, all of the others; whether none are left."""
    count, keys = await delete_own_jobs(session, user_id, limit=ROWS)
    if count == ROWS:
        return False, keys
    for table, rule in TABLES.items():
        owned, count = rule.owned or "", 0
        if rule.deletion == "rows":
            count, named = await delete_owned(
                session, table, owned, rule.key, rule.blobs, user_id, limit=ROWS
            )
            keys |= {key for key in named if _is_own(user_id, key)}
        elif rule.deletion == "cleared":
            count = await clear_owned(
                session, table, owned, rule.key, rule.cleared, user_id, limit=ROWS
            )
        if count == ROWS:
            return False, keys
    return True, keys


def _is_own(user_id: UUID, key: str) -> bool:
    """Whether a blob that a row names goes with the account: not a product's picture."""
    if key.startswith(("uploads/", "masks/")):
        return key.split("/")[1] == str(user_id)
    return key.startswith(("tryon/", "heatmaps/"))
