"""The pictures of a try-on as blobs of our own: found by their rows, or fetched and kept."""

import hashlib
from dataclasses import dataclass
from functools import partial
from uuid import UUID, uuid5

from db.files import get_file_by_key
from db.tryons import made_for
from errors import Invalid, StudioError
from models.images import ImageInfo, inspect_image
from studio.file_rules import IMAGE_TYPES
from studio.files import load_image
from studio.job_types import JobRun
from studio.picture_threads import run_on_picture
from studio.ports import SegmentPrompt, Studio
from studio.segmentation import segment_stored

KINDS = {"upper": ("Upper-clothes",), "lower": ("Pants", "Skirt"), "dress": ("Dress",)}
"""What the Segmenter's labels mean for a try-on."""


@dataclass(frozen=True)
class StoredPicture:
    """A picture in the blob store, and its size as a viewer shows it."""

    key: str
    width: int
    height: int

    @property
    def pixels(self) -> int:
        """In all."""
        return self.width * self.height


async def store_picture(studio: Studio, user_id: UUID, url: str, field: str) -> StoredPicture:
    """An own upload, a picture on sale, a result made for this user, or one of the outside world.

    Raises:
        StudioError: as `load_image`; the message names the field.
    """
    try:
        return await _store(studio, user_id, url)
    except StudioError as error:
        raise type(error)(f"{field}: {error.detail}") from None


async def _store(studio: Studio, user_id: UUID, url: str) -> StoredPicture:
    key = studio.blobs.key_of(url)
    if key is not None:
        async with studio.database.read() as session:
            file = await get_file_by_key(session, key)
            is_made = file is None and await made_for(session, user_id, key)
        if is_made:
            return await _measured(key, await studio.blobs.get(key))
        known = file is not None and file.owner_id == user_id and file.status == "ready"
        if known and file and file.width and file.height and file.purpose != "dataset":
            return StoredPicture(key, file.width, file.height)
    loaded = await load_image(studio, user_id, image_url=url, file_id=None)
    if loaded.key is not None:
        return await _measured(loaded.key, loaded.data)
    facts = await run_on_picture(partial(inspect_image, loaded.data))
    extension = IMAGE_TYPES[facts.content_type]
    name = hashlib.sha256(loaded.data).hexdigest()
    kept = f"uploads/{user_id}/fetched/{name}{extension}"
    await studio.blobs.put(kept, loaded.data, facts.content_type)
    return StoredPicture(kept, facts.width, facts.height)


async def _measured(key: str, data: bytes) -> StoredPicture:
    facts: ImageInfo = await run_on_picture(partial(inspect_image, data))
    return StoredPicture(key, facts.width, facts.height)


def check_mask(mask: StoredPicture, garment: StoredPicture) -> None:
    """Raises:
    Invalid: the mask is not the garment's.
    """
    if (mask.width, mask.height) != (garment.width, garment.height):
        raise Invalid(
            f"maskUrl: the mask has {mask.width} x {mask.height} pixels, "
            f"the garment {garment.width} x {garment.height}"
        )


@dataclass(frozen=True)
class FoundGarment:
    """Where a garment's mask lies, and what kind of garment it is."""

    mask_key: str
    category: str | None


async def find_garment(
    studio: Studio,
    user_id: UUID,
    garment: StoredPicture,
    category: str | None,
    run: JobRun | None = None,
) -> FoundGarment:
    """The garment's mask by the Segmenter, with its row; of a job, one however often it is tried.

    A worn garment of a category is asked for by it; one that lies flat is one thing, whatever its
    category, so what isn't found by name is looked for as the picture's garment.

    Raises:
        Invalid: there is no garment in the picture. Unavailable: the Segmenter is down.
    """
    prompt = SegmentPrompt(target=category or "garment")
    try:
        found = await segment_stored(
            studio, user_id, prompt, garment.key,
            result_id=None if run is None else uuid5(run.job_id, "garment"),
            guard=None if run is None else run.guard,
        )  # fmt: skip
    except Invalid as error:
        if category is None:
            raise Invalid(f"garmentUrl: {error.detail}") from None
        return await find_garment(studio, user_id, garment, None, run)
    guessed = next((name for name, labels in KINDS.items() if found.answer.label in labels), None)
    return FoundGarment(found.mask_key, guessed)
