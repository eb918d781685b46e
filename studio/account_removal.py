"""The end of an account: with all it uploaded and all that was made of it.

Payments and audit lines stay, without personal columns, because the law asks for them.
"""

from datetime import timedelta
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from db.account_rows import clear_owned, delete_owned, get_session_start, list_owned_keys
from db.audit import insert_audit
from db.erasures import insert_erasure
from db.lineage import lock_lineage
from db.product_removal import empty_own_products
from db.tables import User
from db.users import get_database_time, get_user
from errors import Conflict, Forbidden, Invalid, NotFound
from studio.accounts import require_password
from studio.blob_removal import remove_soon
from studio.context import current_request_id
from studio.lifecycle import TABLES
from studio.lineage import delete_made_of, delete_own_jobs
from studio.ports import BlobStore, Studio

FRESH = timedelta(minutes=5)
"""So young a sign-in by OpenID stands for a password."""
BLOB_COLUMNS = (
    ("files", "blob_key"), ("segmentation_result", "mask_key"), ("tryon_job", "output_key"),
    ("prediction", "heatmap_key"),
)  # fmt: skip


async def delete_own_account(
    studio: Studio, user_id: UUID, *, password: str | None, session_id: UUID, ip: str | None
) -> None:
    """Removes the account of whoever proves to be its owner.

    Raises:
        Invalid: a password is needed and none was given.
        Forbidden: the password is wrong, or the sign-in by OpenID is too old.
        SlowDown: too many failures lately.
        Conflict: the password was changed just now.
    """
    password_hash = await _confirm(studio, user_id, password, session_id, ip)
    async with studio.database.transaction() as session:
        user = await get_user(session, user_id, lock=True)
        if user is None:
            raise NotFound("no such account")
        if user.password_hash != password_hash:
            raise Conflict("the password was changed just now")
        await remove_account(session, studio.blobs, user_id)
    await remove_soon(studio.database, studio.blobs, [])


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


async def remove_account(session: AsyncSession, blobs: BlobStore, user_id: UUID) -> None:
    """Every row and blob of an account, in the caller's transaction; quiet where there is none."""
    if await get_user(session, user_id, lock=True) is None:
        return
    await lock_lineage(session, user_id)
    keys = await delete_own_jobs(session, user_id) | await empty_own_products(session, user_id)
    for table, column in BLOB_COLUMNS:
        keys |= await list_owned_keys(session, table, TABLES[table].owned or "", column, user_id)
    keys |= await _list_blobs(session, blobs, user_id)
    await delete_made_of(session, {key for key in keys if "/" in key})
    for table, rule in TABLES.items():
        if rule.owned is None:
            continue
        if rule.deletion == "rows":
            await delete_owned(session, table, rule.owned, user_id)
        elif rule.deletion == "cleared":
            await clear_owned(session, table, rule.owned, rule.cleared, user_id)
    insert_erasure(session, "account", str(user_id))
    insert_audit(
        session, "ACCOUNT_DELETED", actor_id=user_id, subject=str(user_id),
        request_id=current_request_id(),
    )  # fmt: skip


async def _list_blobs(session: AsyncSession, blobs: BlobStore, user_id: UUID) -> set[str]:
    """What lies under the account's own names, with or without a row."""
    owned = TABLES["regressor_version"].owned or ""
    versions = await list_owned_keys(session, "regressor_version", owned, "version", user_id)
    prefixes = [f"uploads/{user_id}/", f"masks/{user_id}/"]
    prefixes += [f"regressors/{version}/" for version in sorted(versions)]
    return {key for prefix in prefixes async for key in blobs.list(prefix)}
