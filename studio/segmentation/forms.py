"""The forms of segmentation: a picture with a prompt, or many pictures as a job."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field, model_validator

from models.segmenter.shapes import SegmentPrompt, Target
from studio.forms import Form, PictureUrl, require_one_of


def name_point(value: Any) -> Any:
    """Reads `[x, y]` and `[x, y, label]` as `{x, y, label}`."""
    if isinstance(value, list | tuple) and 2 <= len(value) <= 3:
        return dict(zip(("x", "y", "label"), value, strict=False))
    return value


def list_corners(value: Any) -> Any:
    """Reads `{x, y, width, height}`, the box of an answer, as `[x0, y0, x1, y1]`.

    Raises:
        ValueError: an object with other fields.
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


class PointForm(Form):
    """A point in pixels of the picture. Label 1: inside the piece to cut out; label 0: outside."""

    x: float
    y: float
    label: Literal[0, 1] = 1


Point = Annotated[PointForm, BeforeValidator(name_point)]
Box = Annotated[
    list[float],
    Field(min_length=4, max_length=4, fail_fast=True),
    BeforeValidator(list_corners),
]


class SegmentationForm(Form):
    """A picture, by a URL or a file's id, and a prompt, by default for the largest garment.

    points: in pixels. box: `[x0, y0, x1, y1]` in pixels, or `{x, y, width, height}`.
    """

    image_url: PictureUrl | None = None
    file_id: UUID | None = None
    target: Target | None = None
    points: Annotated[list[Point], Field(min_length=1, max_length=32, fail_fast=True)] | None = None
    box: Box | None = None

    @model_validator(mode="after")
    def require_one_picture(self) -> "SegmentationForm":
        """Refuses both and neither of imageUrl and fileId."""
        require_one_of(self.image_url, self.file_id)
        return self

    @property
    def prompt(self) -> SegmentPrompt:
        """The prompt that the form describes."""
        points = tuple((point.x, point.y, point.label == 1) for point in self.points or ())
        box = None if self.box is None else (self.box[0], self.box[1], self.box[2], self.box[3])
        return SegmentPrompt(self.target, points, box)


class SegmentBatchForm(Form):
    """The payload of a `segment-batch` job: pictures by their files or URLs, and a target."""

    file_ids: Annotated[list[UUID], Field(max_length=200, fail_fast=True)] = []
    image_urls: Annotated[list[PictureUrl], Field(max_length=200, fail_fast=True)] = []
    target: Target = "garment"

    @model_validator(mode="after")
    def require_a_picture(self) -> "SegmentBatchForm":
        """Refuses a job without pictures."""
        if not self.file_ids and not self.image_urls:
            raise ValueError("give at least one picture in fileIds or imageUrls")
        return self


class StoredBatch(Form):
    """The same payload, as a job stores it.

    Null replaces a picture that was deleted, so that the other pictures keep their positions.
    """

    file_ids: Annotated[list[UUID | None], Field(max_length=200, fail_fast=True)] = []
    image_urls: Annotated[list[PictureUrl | None], Field(max_length=200, fail_fast=True)] = []
    target: Target = "garment"
