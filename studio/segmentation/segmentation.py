"""Segments pictures: writes a mask to the blob store, and its row."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel.ext.asyncio.session import AsyncSession

from db.deletion.lineage import share_lineage
from db.segmentations import save_segmentation
from db.tables import SegmentationResult
from errors import DeadlinePassed, NotAuthenticated, NotFound, StudioError, Unavailable
from integrations.blobs.keys import EXTENSIONS
from models.clean_copy import clean_copy
from models.segmenter.shapes import SegmentAnswer, SegmentPrompt
from studio.context import current_request_id
from studio.deletion.lineage import delete_unrecorded_blob, find_deleted
from studio.files.files import load_image
from studio.files.picture_threads import run_on_picture
from studio.files.storage import require_storage
from studio.idempotency import KeyedRequest, Overtaken
from studio.ports import Studio


@dataclass(frozen=True)
class Segmentation:
    """A mask: its row's id, its blob's key, and the Segmenter's answer."""

    id: UUID
    mask_key: str
    answer: SegmentAnswer


async def segment(
    studio: Studio, user_id: UUID, prompt: SegmentPrompt, *, image_url: str | None = None,
    file_id: UUID | None = None, result_id: UUID | None = None,
    guard: Callable[[AsyncSession], Awaitable[None]] | None = None,
    keyed: KeyedRequest | None = None,
) -> Segmentation:  # fmt: skip
    """Cuts out the piece that the prompt describes.

    result_id: the row's id; a job passes the same id in every attempt. guard: the row is written
    only if it succeeds. keyed: the row stores the answer for requests under the same key.

    Raises:
        Overtaken: a request under the same key was answered meanwhile.
        NotFound: there is no such picture, or it belongs to another account.
        NotAnImage, Invalid, TooLarge, UpstreamFailed: the picture or the prompt can't be used, or
            the picture does not show what the prompt asks for.
        TooLarge: the account's quota is used up.
        Unavailable: the deployment is saturated or down.
    """
    await require_storage(studio, user_id)
    result_id = result_id or uuid4()
    loaded = await load_image(studio, user_id, image_url=image_url, file_id=file_id)
    if loaded.key is not None:
        return await segment_stored(
            studio, user_id, prompt, loaded.key, result_id=result_id, guard=guard, keyed=keyed
        )
    async with temporary_copy(studio, user_id, result_id, loaded.data) as image_key:
        return await segment_stored(
            studio, user_id, prompt, image_key, result_id=result_id, guard=guard, keyed=keyed,
            source=(image_url or "").split("?")[0],
        )  # fmt: skip


async def segment_stored(
    studio: Studio, user_id: UUID, prompt: SegmentPrompt, image_key: str, *,
    result_id: UUID | None = None, guard: Callable[[AsyncSession], Awaitable[None]] | None = None,
    keyed: KeyedRequest | None = None, source: str | None = None,
) -> Segmentation:  # fmt: skip
    """Like `segment`, for a picture in our own store that the user may use.

    source: the row's `input_key`, if that is not the blob's key.
    """
    started_s = time.perf_counter()
    result_id = result_id or uuid4()
    mask_key = f"masks/{user_id}/{result_id}.png"
    try:
        answer = await studio.segmenter.segment(image_key, prompt, mask_key)
    except NotFound:
        await studio.blobs.delete(mask_key)
        raise
    latency_ms = round((time.perf_counter() - started_s) * 1000, 2)
    row = _row(user_id, result_id, source or image_key, mask_key, prompt, answer, latency_ms)
    if keyed is not None:
        row.sqlmodel_update(keyed.columns(segmentation_document(mask_key, answer)))
    await _record(studio, row, guard, is_keyed=keyed is not None)
    return Segmentation(result_id, mask_key, answer)


async def _record(
    studio: Studio, row: SegmentationResult,
    guard: Callable[[AsyncSession], Awaitable[None]] | None, *, is_keyed: bool,
) -> None:  # fmt: skip
    """Stores the result; if that fails, its mask is deleted.

    Raises:
        NotFound: the picture was deleted meanwhile; its mask is deleted, too.
        Overtaken: a request under the same key was answered meanwhile.
    """
    try:
        async with studio.database.transaction() as session:
            await share_lineage(session, row.user_id)
            if guard is not None:
                await guard(session)
            if await find_deleted(session, row.user_id, [row.input_key]):
                raise NotFound("the picture was deleted")
            is_new = await save_segmentation(session, row)
        if is_keyed and not is_new:
            raise Overtaken("a request with this Idempotency-Key was answered meanwhile")
    except (NotFound, NotAuthenticated, Overtaken, SQLAlchemyError):
        await studio.blobs.delete(row.mask_key)  # no row refers to it
        raise
    except (Unavailable, DeadlinePassed, asyncio.CancelledError):
        await delete_unrecorded_blob(studio, SegmentationResult, row.id, row.mask_key)
        raise


@asynccontextmanager
async def temporary_copy(
    studio: Studio, user_id: UUID, result_id: UUID, data: bytes
) -> AsyncIterator[str]:
    """Stores a picture from another site while the block runs, and yields its key.

    Deployments read pictures by their keys; nothing needs the copy afterwards.
    """
    copy = await run_on_picture(partial(clean_copy, data))
    key = f"uploads/{user_id}/fetched/{result_id}{EXTENSIONS[copy.content_type]}"
    try:
        await studio.blobs.put(key, copy.data, copy.content_type)
        yield key
    finally:
        with suppress(StudioError):  # the sweep deletes it later
            await studio.blobs.delete(key)


def _row(
    user_id: UUID, result_id: UUID, image_key: str, mask_key: str, prompt: SegmentPrompt,
    answer: SegmentAnswer, latency_ms: float,
) -> SegmentationResult:  # fmt: skip
    params: dict[str, Any] = {name: value for name, value in asdict(prompt).items() if value}
    return SegmentationResult(
        id=result_id,
        user_id=user_id,
        input_key=image_key,
        params=params,
        mask_key=mask_key,
        label=answer.label,
        area=answer.area,
        bbox=bbox_document(answer),
        score=answer.score,
        model_version=answer.version,
        latency_ms=latency_ms,
        stored_bytes=answer.size_bytes,
        request_id=current_request_id(),
    )


def segmentation_document(mask_key: str, answer: SegmentAnswer) -> dict[str, Any]:
    """The answer to callers, with the mask's key: each repetition signs a new URL for it."""
    return {
        "mask_key": mask_key, "width": answer.width, "height": answer.height,
        "area": answer.area, "bbox": bbox_document(answer), "score": answer.score,
        "label": answer.label,
    }  # fmt: skip


def bbox_document(answer: SegmentAnswer) -> dict[str, int]:
    """The box, in the form that rows and answers contain."""
    return dict(zip(("x", "y", "width", "height"), answer.bbox, strict=True))
