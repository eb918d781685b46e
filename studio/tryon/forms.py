"""The forms of try-on, and the field names for errors about its pictures."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

from pydantic import Field

from errors import StudioError
from models.segmenter.shapes import Category
from models.tryon.shapes import Quality
from studio.forms import Form, PictureUrl

Mode = Literal["auto", "sync", "queued"]
MAX_SEED = 2**31 - 1

FIELDS = {
    "person": "personUrl", "garment": "garmentUrl", "mask": "maskUrl", "category": "category",
}  # fmt: skip
"""The form's field for each subject of an error."""


class TryOnForm(Form):
    """The pictures of a person and a garment. Without a mask the garment is segmented first;
    without a category it is guessed from the garment.
    """

    person_url: PictureUrl
    garment_url: PictureUrl
    mask_url: PictureUrl | None = None
    category: Category | None = None
    quality: Quality = "balanced"
    seed: Annotated[int, Field(strict=True, ge=0, le=MAX_SEED)] | None = None
    steps: Annotated[int, Field(strict=True, ge=1, le=100)] | None = None


@contextmanager
def naming_fields() -> Iterator[None]:
    """Puts the form's field before the message of every error that has a subject."""
    try:
        yield
    except StudioError as error:
        field = FIELDS.get(error.subject or "")
        if field is None:
            raise
        raise type(error)(f"{field}: {error.detail}") from None
