"""Use cases of rollouts: the share of a next model, taking it back, and the end of a rollout."""

from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from db.audit import insert_audit
from db.engine import Database
from db.model_rollouts import (
    EMBEDDER,
    delete_rollout,
    embedder_beside,
    list_rollouts,
    put_share,
)
from db.tables import ModelRollout
from errors import Conflict, Invalid
from studio.context import current_request_id
from studio.rollout.pairs import SEGMENTER, TRYON

MODELS = (EMBEDDER, SEGMENTER, TRYON)


async def read_rollouts(database: Database) -> list[ModelRollout]:
    """All rollouts, by model."""
    async with database.read() as session:
        return await list_rollouts(session)


async def set_share(
    database: Database, model: str, share: float, *, actor_id: UUID | None = None
) -> None:
    """Lets the next model answer this share of the callers; 0 takes it back.

    Raises:
        Invalid: there is no such model, or the share is not from 0 to 1.
        Conflict: there is no index of the next embedder yet.
    """
    if model not in MODELS:
        raise Invalid(f"{model} is not a model; expected {', '.join(MODELS)}")
    if not 0 <= share <= 1:
        raise Invalid(f"the share is {share:g}; expected a number from 0 to 1")
    async with database.transaction() as session:
        if model == EMBEDDER and share > 0 and await embedder_beside(session) is None:
            raise Conflict(
                "there is no index of the next embedder: run a rebuild-index job with `next`, or "
                "`python -m jobs.reindex --next`, first"
            )
        await put_share(session, model, share)
        _audit(session, "MODEL_SHARE", f"{model} {share:g}", actor_id)


async def finish(database: Database, model: str, *, actor_id: UUID | None = None) -> None:
    """Ends a rollout: replicas of Index let go of the index beside the active one.

    Raises:
        Conflict: there is no rollout of this model.
    """
    async with database.transaction() as session:
        if not await delete_rollout(session, model):
            raise Conflict(f"there is no rollout of {model}")
        _audit(session, "MODEL_FINISHED", model, actor_id)


def _audit(session: AsyncSession, action: str, subject: str, actor_id: UUID | None) -> None:
    insert_audit(
        session, action, actor_id=actor_id, subject=subject, request_id=current_request_id()
    )
