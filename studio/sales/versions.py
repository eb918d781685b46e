"""A merchant's regressor versions: listing, activation and rollback."""

from datetime import datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from db.audit import insert_audit
from db.regressor_versions import (
    get_regressor,
    list_regressors,
    lock_regressors,
    switch_regressor,
)
from db.tables import RegressorVersion
from errors import Conflict, NotFound
from models.sales.files import STARTER
from models.sales.regressor import Regressor
from models.sales.shapes import TrainedVersion
from studio.context import current_request_id
from studio.ports import Studio

PLOTS = ("calibration", "predicted")
ACTIVATABLE = frozenset({"ready", "active", "retired"})


def trained_version(row: RegressorVersion | None) -> TrainedVersion | None:
    """The version as an argument of calls to the regressor; None selects the starter."""
    return None if row is None else TrainedVersion(row.version, row.manifest)


def check_embedder(regressor: Regressor | RegressorVersion, embedder_version: str) -> None:
    """Checks that the regressor fits the embedder in service.

    Raises:
        Conflict: the regressor was trained on another embedder's vectors.
    """
    if regressor.embedder_version != embedder_version:
        raise Conflict(
            f"regressor {regressor.version} was trained on vectors of "
            f"{regressor.embedder_version}, but the embedder in service is {embedder_version}: "
            "train a new version with POST /api/analytics/train"
        )


async def list_versions(
    studio: Studio, owner_id: UUID, *, limit: int, after: tuple[datetime, str] | None = None
) -> list[RegressorVersion]:
    """The owner's versions, newest first; after: (created_at, version) of the last one known."""
    async with studio.database.read() as session:
        return await list_regressors(session, owner_id, limit=limit, after=after)


async def plot_urls(studio: Studio, version: str) -> dict[str, str]:
    """Signed URLs of the plots that a version's training has stored."""
    return {name: await studio.blobs.sign_get(f"regressors/{version}/{name}.png") for name in PLOTS}


async def activate_regressor(studio: Studio, owner_id: UUID, version: str) -> None:
    """Activates one of the owner's versions, or "starter".

    Every call to the regressor names its version. So the switch interrupts no call, and all calls
    that start afterwards use the new version.

    Raises:
        NotFound: the owner has no such version.
        Conflict: it was trained for another embedder than the one in service.
    """
    in_service = await studio.embedder.version()
    async with studio.database.transaction() as session:
        await lock_regressors(session, owner_id)
        if version != STARTER:
            row = await get_regressor(session, version)
            if row is None or row.owner_id != owner_id or row.status not in ACTIVATABLE:
                raise NotFound(f"there is no regressor version {version}")
            check_embedder(row, in_service)
        await put_in_service(session, owner_id, None if version == STARTER else version)


async def put_in_service(session: AsyncSession, owner_id: UUID, version: str | None) -> None:
    """Switches the version and writes the audit log; the caller holds the owner's lock."""
    await switch_regressor(session, owner_id, version)
    insert_audit(
        session,
        "REGRESSOR_ACTIVATED",
        actor_id=owner_id,
        subject=version or STARTER,
        request_id=current_request_id(),
    )
