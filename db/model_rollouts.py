"""Queries over rollouts: which share of the traffic the next model of a kind answers."""

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import IndexVersion, ModelRollout

EMBEDDER = "embedder"


async def list_rollouts(session: AsyncSession) -> list[ModelRollout]:
    """All rollouts, by model."""
    return list((await session.exec(select(ModelRollout).order_by(ModelRollout.model))).all())


async def put_share(session: AsyncSession, model: str, share: float) -> None:
    """Sets the share of the next model; 0: it answers nothing."""
    statement = insert(ModelRollout).values(model=model, share=share)
    await session.exec(
        statement.on_conflict_do_update(
            index_elements=["model"], set_={"share": share, "changed_at": func.now()}
        )
    )


async def put_embedder_beside(session: AsyncSession, embedder_version: str) -> None:
    """Sets the embedder whose newest index is held beside the active one; keeps the share."""
    values = {"embedder_version": embedder_version, "changed_at": func.now()}
    statement = insert(ModelRollout).values(model=EMBEDDER, share=0.0, **values)
    await session.exec(
        statement.on_conflict_do_update(index_elements=["model"], set_=values),
    )


async def swap_embedders(session: AsyncSession, former: str, fresh: str) -> None:
    """Records that `fresh` is in service now and `former` beside it, if `fresh` was beside."""
    await session.exec(
        update(ModelRollout)
        .where(col(ModelRollout.model) == EMBEDDER, col(ModelRollout.embedder_version) == fresh)
        .values(embedder_version=former, share=0.0, changed_at=func.now())
    )


async def delete_rollout(session: AsyncSession, model: str) -> bool:
    """Ends a rollout; returns whether there was one."""
    statement = delete(ModelRollout).where(col(ModelRollout.model) == model)
    return bool((await session.exec(statement)).rowcount)


async def embedder_beside(session: AsyncSession) -> str | None:
    """The embedder whose newest index is held beside the active one; None outside a rollout."""
    rollout = await session.get(ModelRollout, EMBEDDER)
    return rollout.embedder_version if rollout else None


async def find_version_beside(session: AsyncSession, active: IndexVersion) -> IndexVersion | None:
    """The newest complete index of the embedder beside that of the active version."""
    query = (
        select(IndexVersion)
        .join(
            ModelRollout, col(ModelRollout.embedder_version) == col(IndexVersion.embedder_version)
        )
        .where(
            col(ModelRollout.model) == EMBEDDER,
            col(IndexVersion.status).in_(("ready", "retired")),
            col(IndexVersion.embedder_version) != active.embedder_version,
        )
        .order_by(col(IndexVersion.created_at).desc(), col(IndexVersion.version).desc())
        .limit(1)
    )
    return (await session.exec(query)).first()
