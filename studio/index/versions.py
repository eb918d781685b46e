"""Index versions: listing and activation. A rollback activates an older version."""

from datetime import datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from db.audit import insert_audit
from db.engine import Database
from db.index_versions import activate, get_index_version, list_index_versions
from db.tables import IndexVersion
from errors import Conflict, NotFound
from studio.context import current_request_id
from studio.ports import Studio


async def list_versions(
    studio: Studio, *, limit: int, after: tuple[datetime, str] | None = None
) -> list[IndexVersion]:
    """Index versions, newest first, those that come after the given (created_at, version)."""
    async with studio.database.read() as session:
        return await list_index_versions(session, limit=limit, after=after)


async def activate_version(studio: Studio, version: str, *, actor_id: UUID | None = None) -> None:
    """Activates a version, which then answers searches; every replica switches by itself.

    Raises:
        NotFound: there is no such version.
        Conflict: it is not ready, or was built for another embedder than the one in service.
    """
    in_service = await studio.embedder.version()
    await switch_version(studio.database, version, in_service, actor_id=actor_id)


async def switch_version(
    database: Database, version: str, in_service: str, *, actor_id: UUID | None = None
) -> None:
    """Like `activate_version`, for callers that know which embedder is in service."""
    async with database.transaction() as session:
        await switch_in(session, version, in_service, actor_id=actor_id)


async def switch_in(
    session: AsyncSession, version: str, in_service: str, *, actor_id: UUID | None = None
) -> None:
    """Like `switch_version`, in the caller's own transaction."""
    row = await get_index_version(session, version)
    if row is None:
        raise NotFound(f"there is no index version {version}")
    if row.embedder_version != in_service:
        raise Conflict(
            f"index {version} was built for embedder {row.embedder_version}, but the embedder in "
            f"service is {in_service}"
        )
    if not await activate(session, version):
        raise Conflict(f"index {version} is {row.status} and can't be activated")
    insert_audit(
        session,
        "INDEX_ACTIVATED",
        actor_id=actor_id,
        subject=version,
        request_id=current_request_id(),
    )
