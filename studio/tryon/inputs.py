"""The pictures of a try-on as blobs of our own: found by their rows, or fetched and kept."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from db.files import get_file_by_key
from db.tables import TryonJob
from db.tryons import insert_tryon, made_for
from errors import Invalid, NotFound, StudioError
from integrations.blobs.keys import EXTENSIONS
from models.clean_copy import clean_copy
from models.images import ImageInfo, inspect_image
from studio.deletion.blob_removal import remove_soon
from studio.deletion.lineage import delete_inputs, find_deleted, mask_id_of
from studio.files.files import load_image
from studio.files.picture_threads import run_on_picture
from studio.job_types import JobRun
from studio.ports import SegmentPrompt, Studio
from studio.segmentation.segmentation import segment_stored

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


@dataclass
class Draft:
    """What is put into the store for a try-on before its row is there.

    Attributes:
        tryon_id: None where pictures are only looked at; nothing is stored then.
        stored_bytes: what the copies take that were fetched for it.
    """

    user_id: UUID
    tryon_id: UUID | None = None
    keys: list[str] = field(default_factory=list)
    stored_bytes: int = 0
    has_mask: bool = False

    def key_of(self, name: str, content_type: str) -> str:
        """Where a fetched picture of this try-on lies; the same one at every attempt."""
        extension = EXTENSIONS[content_type]
        return f"uploads/{self.user_id}/fetched/{self.tryon_id}-{name}{extension}"


@asynccontextmanager
async def drafting(studio: Studio, user_id: UUID, tryon_id: UUID) -> AsyncIterator[Draft]:
    """What was stored in the block is removed again where the block fails."""
    draft = Draft(user_id, tryon_id)
    try:
        yield draft
    except BaseException:
        await discard(studio, draft)
        raise


async def discard(studio: Studio, draft: Draft) -> None:
    """Removes fetched copies and the mask that was made; the sweep finds what can't be removed."""
    if draft.tryon_id is None or not (draft.keys or draft.has_mask):
        return
    with suppress(StudioError):
        async with studio.database.transaction() as session:
            keys = await delete_inputs(session, draft.tryon_id, draft.keys)
        await remove_soon(studio.database, studio.blobs, sorted(keys))


async def store_picture(studio: Studio, draft: Draft, url: str, name: str) -> StoredPicture:
    """An own upload, a picture on sale, a result made for this user, or one of the outside world.

    Raises:
        StudioError: as `load_image`; the message names the field.
    """
    try:
        return await _store(studio, draft, url, name)
    except StudioError as error:
        raise type(error)(f"{name}Url: {error.detail}") from None


async def _store(studio: Studio, draft: Draft, url: str, name: str) -> StoredPicture:
    key, user_id = studio.blobs.key_of(url), draft.user_id
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
    if draft.tryon_id is None:
        return await _measured("", loaded.data)
    copy = await run_on_picture(partial(clean_copy, loaded.data))
    key = draft.key_of(name, copy.content_type)
    draft.keys.append(key)
    draft.stored_bytes += len(copy.data)
    await studio.blobs.put(key, copy.data, copy.content_type)
    return StoredPicture(key, copy.width, copy.height)


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
    draft: Draft,
    garment: StoredPicture,
    category: str | None,
    run: JobRun | None = None,
) -> FoundGarment:
    """The garment's mask by the Segmenter, with its row: one a try-on, however often it is tried.

    A worn garment of a category is asked for by it; one that lies flat is one thing, whatever its
    category, so what isn't found by name is looked for as the picture's garment.

    Raises:
        Invalid: there is no garment in the picture. Unavailable: the Segmenter is down.
    """
    prompt = SegmentPrompt(target=category or "garment")
    try:
        found = await segment_stored(
            studio, draft.user_id, prompt, garment.key,
            result_id=None if draft.tryon_id is None else mask_id_of(draft.tryon_id),
            guard=None if run is None else run.guard,
        )  # fmt: skip
    except Invalid as error:
        if category is None:
            raise Invalid(f"garmentUrl: {error.detail}") from None
        return await find_garment(studio, draft, garment, None, run)
    draft.has_mask = True
    guessed = next((name for name, labels in KINDS.items() if found.answer.label in labels), None)
    return FoundGarment(found.mask_key, guessed)


async def insert_present(session: AsyncSession, row: TryonJob) -> bool:
    """The row of a try-on, without pictures of the garment that were deleted meanwhile.

    Whether it was inserted; see `db.tryons.insert_tryon`.

    Raises:
        NotFound: the person's picture was deleted meanwhile; nothing may show it any more.
    """
    keys = [key for key in (row.person_key, row.garment_key, row.mask_key) if key]
    gone = await find_deleted(session, row.user_id, keys)
    if row.person_key in gone:
        raise NotFound("personUrl: the picture was deleted")
    row.garment_key = None if row.garment_key in gone else row.garment_key
    row.mask_key = None if row.mask_key in gone else row.mask_key
    return await insert_tryon(session, row)
