"""Which regressor answers a merchant: activation, and rolling back by the same step."""

from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from db.audit import insert_audit
from db.regressor_versions import get_regressor, lock_regressors, switch_regressor
from db.tables import RegressorVersion
from errors import Conflict, NotFound
from models.sales.files import STARTER
from studio.context import current_request_id
from studio.ports import Studio
from studio.sales.shapes import TrainedVersion

FIT = frozenset({"ready", "active", "retired"})


def trained(row: RegressorVersion | None) -> TrainedVersion | None:
    """What every call to the regressor carries; None asks the starter."""
    return None if row is None else TrainedVersion(row.version, row.manifest)


async def activate_regressor(studio: Studio, owner_id: UUID, version: str) -> None:
    """Makes one of the owner's versions the one that answers, or "starter".

    The next call carries it to whichever replica, so no call is dropped and none is answered by an
    older version.

    Raises:
        NotFound: the owner has no such version.
        Conflict: it was made for another embedder than the one in service.
    """
    in_service = await studio.embedder.version()
    async with studio.database.transaction() as session:
        await lock_regressors(session, owner_id)
        if version != STARTER:
            row = await get_regressor(session, version)
            if row is None or row.owner_id != owner_id or row.status not in FIT:
                raise NotFound(f"there is no regressor version {version}")
            if row.embedder_version != in_service:
                raise Conflict(
                    f"regressor {version} was trained on vectors of {row.embedder_version}; "
                    f"in service is {in_service}"
                )
        await put_in_service(session, owner_id, None if version == STARTER else version)


async def put_in_service(session: AsyncSession, owner_id: UUID, version: str | None) -> None:
    """In the caller's own transaction, which holds the lock."""
    await switch_regressor(session, owner_id, version)
    insert_audit(
        session,
        "REGRESSOR_ACTIVATED",
        actor_id=owner_id,
        subject=version or STARTER,
        request_id=current_request_id(),
    )
