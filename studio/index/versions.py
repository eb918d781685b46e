"""Index versions: listing and activation. A rollback activates an older version."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from db.audit import insert_audit
from db.engine import Database
from db.index_versions import (
    activate,
    get_active_version,
    get_index_version,
    list_index_versions,
)
from db.model_rollouts import embedder_beside, swap_embedders
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
    served = await studio.embedder.served_versions()
    await switch_version(studio.database, version, served, actor_id=actor_id)


async def switch_version(
    database: Database, version: str, served: Sequence[str], *, actor_id: UUID | None = None
) -> None:
    """Like `activate_version`, for callers that know which embedders answer."""
    async with database.transaction() as session:
        await switch_in(session, version, served, actor_id=actor_id)


async def embedders_in_use(database: Database) -> list[str]:
    """The embedder of the active index, and the one beside it where one is rolled out."""
    async with database.read() as session:
        active = await get_active_version(session)
        versions = (active and active.embedder_version, await embedder_beside(session))
    return [version for version in versions if version]


async def switch_in(
    session: AsyncSession, version: str, served: Sequence[str], *, actor_id: UUID | None = None
) -> None:
    """Like `switch_version`, in the caller's own transaction.

    An index of another one than the active index's switches the
    embedder too: every process follows the active index.
    """
    row = await get_index_version(session, version)
    if row is None:
        raise NotFound(f"there is no index version {version}")
    if row.embedder_version not in served:
        raise Conflict(
            f"index {version} was built for embedder {row.embedder_version}, but the embedder in "
            f"service is {' or '.join(served)}"
        )
    former = await get_active_version(session)
    if not await activate(session, version):
        raise Conflict(f"index {version} is {row.status} and can't be activated")
    if former is not None and former.embedder_version != row.embedder_version:
        await swap_embedders(session, former.embedder_version, row.embedder_version)
    insert_audit(
        session,
        "INDEX_ACTIVATED",
        actor_id=actor_id,
        subject=version,
        request_id=current_request_id(),
    )
