"""The route of segmentation: a picture and a prompt to a mask."""

from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BeforeValidator, Field, model_validator

from db.tables import SegmentationResult
from gateway.deps import Customer, IdempotencyKey, StudioDep
from gateway.once import once
from gateway.wire import WireRequest, WireResponse, require_one_of
from studio.idempotency import KeyedRequest, answer_by_row
from studio.ports import SegmentPrompt
from studio.segmentation.segmentation import segment, segmentation_document

router = APIRouter(prefix="/api/cv", tags=["vision"])


def name_point(value: Any) -> Any:
    """`[x, y]` and `[x, y, label]` say what `{x, y, label}` says."""
    if isinstance(value, list | tuple) and 2 <= len(value) <= 3:
        return dict(zip(("x", "y", "label"), value, strict=False))
    return value


def list_corners(value: Any) -> Any:
    """`{x, y, width, height}`, as answers tell a box, says what `[x0, y0, x1, y1]` says.

    Raises:
        ValueError: it says neither.
    """
    if not isinstance(value, dict):
        return value
    try:
        x, y, width, height = (float(value[name]) for name in ("x", "y", "width", "height"))
    except (KeyError, TypeError, ValueError):
        raise ValueError("give [x0, y0, x1, y1] or {x, y, width, height}") from None
    if len(value) != 4:
        raise ValueError("give [x0, y0, x1, y1] or {x, y, width, height}")
    return [x, y, x + width, y + height]


class PointRequest(WireRequest):
    """A point in pixels of the picture; label 1: inside of what is wanted, 0: outside."""

    x: float
    y: float
    label: Literal[0, 1] = 1


Point = Annotated[PointRequest, BeforeValidator(name_point)]
Box = Annotated[
    list[float],
    Field(min_length=4, max_length=4, fail_fast=True),
    BeforeValidator(list_corners),
]


class SegmentationRequest(WireRequest):
    """A picture by exactly one of its names; the largest garment unless it says what else.

    points: in pixels. box: `[x0, y0, x1, y1]` in pixels, or `{x, y, width, height}`.
    """

    image_url: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    file_id: UUID | None = None
    target: Literal["garment", "upper", "lower", "dress", "person"] | None = None
    points: Annotated[list[Point], Field(min_length=1, max_length=32, fail_fast=True)] | None = None
    box: Box | None = None

    @model_validator(mode="after")
    def require_one_picture(self) -> "SegmentationRequest":
        """Neither and both are mistakes."""
        require_one_of(self.image_url, self.file_id)
        return self

    def to_prompt(self) -> SegmentPrompt:
        """Wire -> studio."""
        points = tuple((each.x, each.y, each.label == 1) for each in self.points or ())
        box = None if self.box is None else (self.box[0], self.box[1], self.box[2], self.box[3])
        return SegmentPrompt(self.target, points, box)


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
    body: SegmentationRequest, user: Customer, studio: StudioDep,
    idempotency_key: IdempotencyKey = None,
) -> SegmentationResponse:  # fmt: skip
    """Cuts a garment or a person out of a picture."""

    async def make(keyed: KeyedRequest | None) -> dict[str, Any]:
        made = await segment(
            studio, user.id, body.to_prompt(), image_url=body.image_url, file_id=body.file_id,
            keyed=keyed,
        )  # fmt: skip
        return segmentation_document(made.mask_key, made.answer)

    answer_once = partial(answer_by_row, studio, SegmentationResult, user.id)
    result = await once(idempotency_key, body, make, answer_once)
    mask_url = await studio.blobs.sign_get(result.pop("mask_key"))
    return SegmentationResponse(mask_url=mask_url, **result)
