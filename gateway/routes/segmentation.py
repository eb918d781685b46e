"""The route of segmentation: a picture and a prompt to a mask."""

from functools import partial
from typing import Any

from fastapi import APIRouter

from db.tables import SegmentationResult
from gateway.deps import Customer, IdempotencyKey, StudioDep
from gateway.once import once
from gateway.wire import WireResponse
from studio.idempotency import KeyedRequest, answer_by_row
from studio.segmentation.forms import SegmentationForm
from studio.segmentation.segmentation import segment, segmentation_document

router = APIRouter(prefix="/api/cv", tags=["vision"])


class BoxResponse(WireResponse):
    """The smallest upright box around the mask, in pixels."""

    x: int
    y: int
    width: int
    height: int


class SegmentationResponse(WireResponse):
    """The mask (PNG, one 8-bit channel, 255 inside) and the label of the piece; area in pixels."""

    mask_url: str
    width: int
    height: int
    area: int
    bbox: BoxResponse
    score: float
    label: str


@router.post("/segmentation")
async def segment_picture(
    body: SegmentationForm, user: Customer, studio: StudioDep,
    idempotency_key: IdempotencyKey = None,
) -> SegmentationResponse:  # fmt: skip
    """Cuts a garment or a person out of a picture."""

    async def make(keyed: KeyedRequest | None) -> dict[str, Any]:
        segmentation = await segment(
            studio, user.id, body.prompt, image_url=body.image_url, file_id=body.file_id,
            keyed=keyed,
        )  # fmt: skip
        return segmentation_document(segmentation.mask_key, segmentation.answer)

    answer_once = partial(answer_by_row, studio.database, studio.cache, SegmentationResult, user.id)
    result = await once(idempotency_key, body, make, answer_once)
    mask_url = await studio.blobs.sign_get(result.pop("mask_key"))
    return SegmentationResponse(mask_url=mask_url, **result)
