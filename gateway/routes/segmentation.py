"""The route of segmentation: a picture and a prompt to a mask."""

from typing import Any

from fastapi import APIRouter

from db.tables import SegmentationResult
from gateway.deps import Customer, IdempotencyKey, StudioDep
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
    """The mask (PNG, one 8-bit channel, 255 inside) and what it shows; area in pixels."""

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
    keyed = KeyedRequest.of(idempotency_key, body.model_dump(mode="json"))

    async def make() -> dict[str, Any]:
        segmentation = await segment(
            studio, user.id, body.prompt, image_url=body.image_url, file_id=body.file_id,
            keyed=keyed,
        )  # fmt: skip
        return segmentation_document(segmentation.mask_key, segmentation.answer)

    answer = await answer_by_row(studio, SegmentationResult, user.id, keyed, make)
    mask_url = await studio.blobs.sign_get(answer.pop("mask_key"))
    return SegmentationResponse(mask_url=mask_url, **answer)
