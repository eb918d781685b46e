"""Makes a try-on, directly or in a job: calls TryOn, and builds the columns of its row."""

import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from db.tables import TryonJob
from errors import Unavailable
from models.tryon.shapes import TryOnOrder, TryOnResult, TryOnTicket
from studio.context import current_caller, current_request_id
from studio.deletion.lineage import output_key_of
from studio.ports import Studio

OnProgress = Callable[[int, int, str], Awaitable[None]]
"""Called with the number of finished steps, the number of all steps, and the next step's name."""


async def make(
    studio: Studio,
    owner_id: UUID,
    order: TryOnOrder,
    output_key: str,
    accepted_at: datetime,
    on_progress: OnProgress | None = None,
) -> TryOnResult:
    """Creates the try-on's picture; the same order gives the same picture.

    Raises:
        StudioError: as `studio.ports.TryOn.dress`.
    """
    caller = current_caller()
    ticket = TryOnTicket(
        output_key, accepted_at.timestamp(), str(owner_id), caller.network if caller else ""
    )
    async for update in studio.tryon.dress(order, ticket):
        if isinstance(update, TryOnResult):
            return update
        if on_progress is not None:
            await on_progress(update.done, update.total, update.message)
    raise Unavailable("TryOn ended without an answer")


def row_of(order: TryOnOrder, tryon_id: UUID, user_id: UUID, **values: Any) -> TryonJob:
    """The row of an order."""
    return TryonJob(
        id=tryon_id,
        user_id=user_id,
        person_key=order.person_key,
        garment_key=order.garment_key,
        mask_key=order.mask_key,
        params={"category": order.category, "quality": order.quality, "steps": order.steps},
        seed=order.seed,
        request_id=current_request_id(),
        **values,
    )


def result_columns(
    result: TryOnResult, tryon_id: UUID, timings: dict[str, float]
) -> dict[str, Any]:
    """The columns that a finished try-on adds to its row."""
    return {
        "output_key": output_key_of(tryon_id),
        "timings": timings,
        "model_version": result.model_version,
    }


def all_timings(order: TryOnOrder, result: TryOnResult, started_s: float) -> dict[str, float]:
    """Milliseconds of every step and their total, segmentation included."""
    total_ms = (time.perf_counter() - started_s) * 1000 + order.segment_ms
    return {"segmentMs": order.segment_ms} | result.timings | {"totalMs": round(total_ms, 2)}
