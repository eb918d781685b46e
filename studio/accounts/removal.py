"""Removes an account with everything it uploaded and everything derived from that.

First the account ends: nobody can sign in to it, and its address is free. Then its rows are deleted
in bounded transactions; `tidy` continues a removal that was interrupted. Payments and rows of the
audit log stay, without personal columns, because the law requires them.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlmodel.ext.asyncio.session import AsyncSession

from db.audit import insert_audit
from db.deletion.account_rows import clear_owned, delete_owned, get_session_start, list_own_versions
from db.deletion.erasures import doom_blobs, insert_erasure
from db.deletion.lineage import clear_garments, lock_lineage
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
from studio.accounts.forms import DeletionForm
from studio.accounts.login import require_password
from studio.context import current_request_id
from studio.deletion.blob_removal import BATCH, remove_soon
from studio.deletion.lifecycle import TABLES
from studio.deletion.lineage import delete_own_jobs
from studio.ports import BlobStore, Studio

FRESH = timedelta(minutes=5)
"""A login by OpenID that is younger than this confirms the deletion instead of a password."""
ROWS = 1000
"""Rows of one table that one transaction deletes."""
PRODUCTS = 100
"""Products that one transaction empties; it holds the lock of the whole catalogue."""
STEPS_OF_REQUEST = 20
"""Transactions that a request waits for; `tidy` does the rest."""

log = structlog.get_logger("studio.accounts")


async def delete_own_account(
    studio: Studio, user_id: UUID, form: DeletionForm, *, session_id: UUID, ip: str | None
) -> None:
    """Removes an account after its owner has confirmed that.

    Raises:
        Invalid: a password is required and missing.
        Forbidden: the password is wrong, or the login by OpenID is too old.
        RateLimited: there were too many failures recently.
        Conflict: the password was changed meanwhile, or it is the last admin's account.
    """
    password_hash = await _confirm(studio, user_id, form.password, session_id, ip)
    async with studio.database.transaction() as session:
        role = await _refuse_last_admin(session, user_id)
        user = await get_user(session, user_id, lock=True)
        if user is None:
            raise NotFound("no such account")
        if (user.password_hash, user.role) != (password_hash, role):
            raise Conflict("the password or the role was changed just now")
        await end_account(session, user_id)
    try:
        keys = await remove_account(studio.database, studio.blobs, user_id, steps=STEPS_OF_REQUEST)
    except StudioError as error:
        log.warning("accounts.removal_waits", reason=error.detail)
    else:
        await remove_soon(studio.database, studio.blobs, keys)


async def _refuse_last_admin(session: AsyncSession, user_id: UUID) -> str | None:
    """The account's role. Called before the account is locked, because admins are locked by id.

    Raises:
        Conflict: there is no other admin.
    """
    role = await get_role(session, user_id)
    if role == "admin" and await lock_admins(session) == [user_id]:
        raise Conflict("the last admin's account can't be deleted; appoint another admin first")
    return role


async def _confirm(
    studio: Studio, user_id: UUID, password: str | None, session_id: UUID, ip: str | None
) -> str:
    """Checks the confirmation of the deletion. Returns the account's password hash at that time.

    Raises the same errors as `delete_own_account`.
    """
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
    """Ends an account: after the commit nothing new can start for it."""
    await end_user(session, user_id)
    insert_erasure(session, "account", str(user_id))
    insert_audit(
        session, "ACCOUNT_DELETED", actor_id=user_id, subject=str(user_id),
        request_id=current_request_id(),
    )  # fmt: skip


async def remove_ended(database: Database, blobs: BlobStore) -> int:
    """Continues the removal of ended accounts. Returns how many accounts there were."""
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
    """Deletes the rows of an ended account, in at most `steps` transactions.

    Returns the first keys of its blobs, which the caller may remove at once.

    Raises:
        Unavailable: the database or the blob store does not answer; the call can be repeated.
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
    """Dooms all blobs under the account's prefixes, even without a row. Returns the first keys."""
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
    """Runs one step of the removal.

    Returns the keys of the removed rows' blobs, or None if the account has no row any more.

    Products and jobs come first, in transactions of their own: see the order of locks in
    `db.deletion.lineage`. A row that another request inserts meanwhile is either visible once the
    account's row is locked, or its insertion fails because the account is gone.
    """
    async with database.transaction() as session:
        count, keys = await empty_some_products(session, user_id, limit=PRODUCTS)
        if count:
            await doom_blobs(session, keys)
            await clear_garments(session, keys)
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
            is_done, keys = await _delete_rows(session, user_id)
            await doom_blobs(session, keys)
            if is_done:
                await delete_user(session, user_id)
            return keys
    except IntegrityError:
        raise Unavailable("another request has written to the account meanwhile") from None


async def _delete_rows(session: AsyncSession, user_id: UUID) -> tuple[bool, set[str]]:
    """Deletes at most `ROWS` rows a table. Returns whether none are left, and their blobs."""
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
    """Whether the blob is the account's own; a product's picture is not."""
    if key.startswith(("uploads/", "masks/")):
        return key.split("/")[1] == str(user_id)
    return key.startswith(("tryon/", "heatmaps/"))
