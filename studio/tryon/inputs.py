"""The pictures of a try-on in the blob store: found by their rows, or copied from other sites."""

import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from db.tables import TryonJob
from db.tryons import get_tryon, insert_tryon, is_own_output
from errors import Invalid, NotFound, StudioError
from integrations.blobs.keys import EXTENSIONS
from models.clean_copy import clean_copy
from models.images import inspect_image, measure_image
from models.segmenter.atr import category_of
from models.segmenter.shapes import Category, SegmentPrompt
from models.tryon.checks import check_mask_size, errors_about
from models.tryon.shapes import TryOnOrder
from studio.deletion.blob_removal import remove_soon
from studio.deletion.lineage import delete_inputs, find_deleted, mask_id_of
from studio.files.files import UsablePicture, find_usable, load_image
from studio.files.picture_threads import run_on_picture
from studio.job_types import JobRun
from studio.ports import Studio
from studio.segmentation.segmentation import segment_stored
from studio.tryon.forms import MAX_SEED, TryOnForm


@dataclass(frozen=True)
class InputPicture:
    """A picture in the blob store; width and height as a viewer shows it."""

    key: str
    width: int
    height: int

    @property
    def pixels(self) -> int:
        """The number of pixels."""
        return self.width * self.height


@dataclass(frozen=True)
class GarmentMask:
    """The key of a garment's mask, and the categories that the Segmenter found.

    category: None if it is unknown. category_shares: as in `models.tryon.shapes.TryOnOptions`.
    """

    key: str
    category: Category | None
    category_shares: Mapping[Category, float] | None


@dataclass
class Draft:
    """The pictures and the mask that are stored for a try-on before its row is written.

    Attributes:
        tryon_id: None where pictures are only checked; nothing is stored then.
        keys, stored_bytes: the copies of pictures from outside, and their total size.
        has_mask: whether a mask was created for it.
    """

    user_id: UUID
    tryon_id: UUID | None = None
    keys: list[str] = field(default_factory=list)
    stored_bytes: int = 0
    has_mask: bool = False

    def key_of(self, name: str, content_type: str) -> str:
        """The key of a copy of a picture from outside; the same at every attempt."""
        extension = EXTENSIONS[content_type]
        return f"uploads/{self.user_id}/fetched/{self.tryon_id}-{name}{extension}"


@asynccontextmanager
async def drafting(studio: Studio, user_id: UUID, tryon_id: UUID) -> AsyncIterator[Draft]:
    """Yields a draft; if the block fails, everything that it stored is removed."""
    draft = Draft(user_id, tryon_id)
    try:
        yield draft
    except BaseException:
        await discard(studio, draft)
        raise


async def discard(studio: Studio, draft: Draft) -> None:
    """Removes the copies and the mask of a draft; the sweep removes the rest if that fails.

    Removes nothing if the try-on's row exists: a commit may succeed although its answer is lost.
    """
    if draft.tryon_id is None or not (draft.keys or draft.has_mask):
        return
    with suppress(StudioError):
        async with studio.database.transaction() as session:
            if await get_tryon(session, draft.tryon_id) is not None:
                return
            keys = await delete_inputs(session, draft.tryon_id, draft.keys)
        await remove_soon(studio.database, studio.blobs, sorted(keys))


async def build_order(
    studio: Studio, draft: Draft, form: TryOnForm, run: JobRun | None = None
) -> tuple[TryOnOrder, int]:
    """Stores the form's pictures, the garment's mask included. Returns the order, and the number of
    pixels of the larger picture.

    Raises:
        StudioError: a picture can't be used; the error's subject identifies it.
    """
    person = await store_picture(studio, draft, form.person_url, "person")
    garment = await store_picture(studio, draft, form.garment_url, "garment")
    started_s = time.perf_counter()
    mask = await _mask_of(studio, draft, form, garment, run)
    segment_ms = round((time.perf_counter() - started_s) * 1000, 2)
    own_seed = run.job_id.int % MAX_SEED if run else secrets.randbelow(MAX_SEED)
    order = TryOnOrder(
        person_key=person.key,
        garment_key=garment.key,
        mask_key=mask.key,
        category=form.category or mask.category,
        category_shares=mask.category_shares,
        quality=form.quality,
        seed=own_seed if form.seed is None else form.seed,
        steps=form.steps,
        segment_ms=segment_ms,
    )
    return order, max(person.pixels, garment.pixels)


async def check_pictures(studio: Studio, user_id: UUID, form: TryOnForm) -> None:
    """Checks the form's pictures without storing any.

    Raises:
        StudioError: a picture can't be used; the error's subject identifies it.
    """
    draft = Draft(user_id)
    garment = await store_picture(studio, draft, form.garment_url, "garment")
    await store_picture(studio, draft, form.person_url, "person")
    if form.mask_url is not None:
        await _store_mask(studio, draft, form.mask_url, garment)


async def store_picture(studio: Studio, draft: Draft, url: str, subject: str) -> InputPicture:
    """Finds an input picture: the user's own, a product's, or a result that the user received.

    A picture from another site is copied into the store, unless the draft has no id.

    Raises:
        StudioError: as `load_image`, about the subject.
    """
    with errors_about(subject):
        key = studio.blobs.key_of(url)
        if key is not None:
            return await _find_stored(studio, draft.user_id, key)
        loaded = await load_image(studio, draft.user_id, image_url=url, file_id=None)
        if draft.tryon_id is None:
            info = await run_on_picture(partial(inspect_image, loaded.data))
            return InputPicture("", info.width, info.height)
        copy = await run_on_picture(partial(clean_copy, loaded.data))
        key = draft.key_of(subject, copy.content_type)
        draft.keys.append(key)
        draft.stored_bytes += len(copy.data)
        await studio.blobs.put(key, copy.data, copy.content_type)
        return InputPicture(key, copy.width, copy.height)


async def _find_stored(studio: Studio, user_id: UUID, key: str) -> InputPicture:
    """A picture in our own store; its size is read from its row, or else from the blob's header."""
    try:
        picture = await find_usable(studio, user_id, key=key)
    except NotFound:
        async with studio.database.read() as session:
            if not await is_own_output(session, user_id, key):
                raise
        picture = UsablePicture(key)
    if picture.file and picture.file.width and picture.file.height:
        return InputPicture(picture.key, picture.file.width, picture.file.height)
    data = await studio.blobs.get(picture.key)
    return InputPicture(picture.key, *await run_on_picture(partial(measure_image, data)))


async def _mask_of(
    studio: Studio, draft: Draft, form: TryOnForm, garment: InputPicture, run: JobRun | None
) -> GarmentMask:
    """The caller's mask, or a mask that the Segmenter creates."""
    if form.mask_url is not None:
        mask = await _store_mask(studio, draft, form.mask_url, garment)
        return GarmentMask(mask.key, None, None)
    return await segment_garment(studio, draft, garment, form.category, run)


async def _store_mask(
    studio: Studio, draft: Draft, url: str, garment: InputPicture
) -> InputPicture:
    """Stores the mask that the request names, and checks its size.

    Raises:
        Invalid: the mask and the garment differ in size; the error's subject is the mask.
    """
    mask = await store_picture(studio, draft, url, "mask")
    check_mask_size((mask.width, mask.height), (garment.width, garment.height))
    return mask


async def segment_garment(
    studio: Studio,
    draft: Draft,
    garment: InputPicture,
    category: Category | None,
    run: JobRun | None = None,
) -> GarmentMask:
    """Creates the garment's mask with the Segmenter, and its row; repeated attempts share one row.

    The Segmenter first looks for the category. It may have parsed a flat-lay garment as another
    category, so if it finds nothing, it looks for any garment.

    Raises:
        Invalid: there is no garment in the picture; the error's subject is the garment.
        Unavailable: the Segmenter is down.
    """
    prompt = SegmentPrompt(target=category or "garment")
    try:
        segmentation = await segment_stored(
            studio, draft.user_id, prompt, garment.key,
            result_id=None if draft.tryon_id is None else mask_id_of(draft.tryon_id),
            guard=None if run is None else run.guard,
        )  # fmt: skip
    except Invalid as error:
        if category is None:
            raise Invalid(error.detail).about("garment") from None
        return await segment_garment(studio, draft, garment, None, run)
    draft.has_mask = True
    answer = segmentation.answer
    shares = answer.category_shares or None
    return GarmentMask(segmentation.mask_key, category_of(answer.label), shares)


async def insert_present(session: AsyncSession, row: TryonJob) -> bool:
    """Inserts the row of a try-on, without the garment's pictures that were deleted meanwhile.

    Returns the result of `db.tryons.insert_tryon`.

    Raises:
        NotFound: the person's picture was deleted meanwhile, so no try-on may show it.
    """
    keys = [key for key in (row.person_key, row.garment_key, row.mask_key) if key]
    deleted = await find_deleted(session, row.user_id, keys)
    if row.person_key in deleted:
        raise NotFound("the picture was deleted").about("person")
    row.garment_key = None if row.garment_key in deleted else row.garment_key
    row.mask_key = None if row.mask_key in deleted else row.mask_key
    return await insert_tryon(session, row)
