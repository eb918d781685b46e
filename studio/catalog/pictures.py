"""The pictures of a product that is being written: read, copied for the public, embedded."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from db.catalog import get_embedding, hold_file, put_embedding
from db.product_images import ShownPicture
from db.tables import File, Product, ProductEmbedding
from errors import NotFound, StudioError
from models.embedder.shapes import Embedding, pack_vector
from models.images import public_copy
from studio.catalog.form import PictureForm
from studio.files.files import LoadedImage, load_image
from studio.files.picture_memory import hold_picture
from studio.files.picture_threads import run_on_picture
from studio.ports import Studio
from studio.rollout.embedders import embed_for_all


@dataclass(frozen=True)
class Picture:
    """A picture that a product is going to show.

    Attributes:
        key: its public copy.
        sha256: of the picture that the copy was made of.
        file_id: the upload that it was made of.
        image_url: where it was fetched from, if it was not an upload.
        embeddings: its vector by each embedder that answers; none where the product has them.
        is_shown: the product shows this copy already.
        is_own_copy: the form names that copy, which keeps its `file_id` and `image_url`.
    """

    key: str
    sha256: str
    file_id: UUID | None = None
    image_url: str | None = None
    embeddings: tuple[Embedding, ...] = ()
    is_shown: bool = False
    is_own_copy: bool = False

    def is_of(self, row: ShownPicture) -> bool:
        """Whether the row shows this picture."""
        return (row.image_key, row.image_sha256) == (self.key, self.sha256)


class PictureReader:
    """Reads the pictures of a form, each when it is needed: only one at a time is in memory."""

    def __init__(self, studio: Studio, owner_id: UUID, forms: Sequence[PictureForm]) -> None:
        self.forms = forms
        self._studio = studio
        self._owner_id = owner_id
        self._stored: dict[int, LoadedImage] = {}

    async def read(self, place: int) -> LoadedImage:
        """Reads a picture.

        What was readable once stays so: another write may take the picture off sale meanwhile.

        Raises:
            StudioError: as `load_image`.
        """
        stored = self._stored.get(place)
        if stored is not None:
            return replace(stored, data=await self._studio.blobs.get(stored.key or ""))
        form = self.forms[place]
        loaded = await load_image(
            self._studio, self._owner_id, image_url=form.image_url, file_id=form.file_id
        )
        hold_picture(len(loaded.data))
        if loaded.key is not None:
            self._stored[place] = replace(loaded, data=b"")
        return loaded


@contextmanager
def errors_about(place: int, *, of: int) -> Iterator[None]:
    """Puts the picture's place before the message of an error, where there are several."""
    try:
        yield
    except StudioError as error:
        if of > 1:
            error.detail = f"images/{place}: {error.detail}"
        raise


@dataclass(frozen=True)
class PictureTask:
    """The pictures of a product that are to be prepared.

    Attributes:
        reader: reads the pictures.
        shown: the pictures that the product shows.
    """

    studio: Studio
    product_id: str
    reader: PictureReader
    shown: Sequence[ShownPicture]

    async def prepare(self) -> list[Picture]:
        """Writes the public copies of new pictures, and embeds the first one if it is new.

        A picture that the product shows keeps its copy, and with it the copy's URLs and everything
        derived from it.

        Raises:
            StudioError: a picture can't be used, or the embedder is saturated or down. The message
                about one of several pictures begins with its place.
        """
        pictures = []
        for place, form in enumerate(self.reader.forms):
            with errors_about(place, of=len(self.reader.forms)):
                loaded = await self.reader.read(place)
                pictures.append(await self._prepare(form, loaded, is_first=place == 0))
        return pictures

    async def _prepare(self, form: PictureForm, loaded: LoadedImage, *, is_first: bool) -> Picture:
        own = next((row for row in self.shown if loaded.key == row.image_key), None)
        if own is not None:
            vectors = await self._embed(loaded.data, own.image_sha256) if is_first else ()
            return Picture(
                own.image_key, own.image_sha256, embeddings=vectors, is_shown=True,
                is_own_copy=True,
            )  # fmt: skip
        sha256 = hashlib.sha256(loaded.data).hexdigest()
        vectors = await self._embed(loaded.data, sha256) if is_first else ()
        former = await self._find_copy(sha256)
        key = former or await self._write_copy(loaded.data, sha256)
        return Picture(
            key, sha256, loaded.file_id, outside_url(form, loaded), vectors,
            is_shown=former is not None,
        )  # fmt: skip

    async def _embed(self, data: bytes, sha256: str) -> tuple[Embedding, ...]:
        if self.shown and self.shown[0].image_sha256 == sha256:
            return ()
        return await embed_for_all(self.studio, data)

    async def _find_copy(self, sha256: str) -> str | None:
        """The key of the public copy that the product has of this picture, if its blob is there."""
        for row in self.shown:
            is_copy = row.image_sha256 == sha256 and row.image_key.startswith("products/")
            if is_copy and await self.studio.blobs.head(row.image_key) is not None:
                return row.image_key
        return None

    async def _write_copy(self, data: bytes, sha256: str) -> str:
        folder = hashlib.sha256(self.product_id.encode()).hexdigest()[:16]
        # Each write creates its own copy, because an older one may be removed at this moment.
        key = f"products/{folder}/{sha256[:24]}-{uuid4().hex[:8]}.jpg"
        copy = await run_on_picture(partial(public_copy, data))
        await self.studio.blobs.put(key, copy, "image/jpeg")
        return key


def outside_url(form: PictureForm, loaded: LoadedImage) -> str | None:
    """The URL that the picture was fetched from, without its query, which may be a signature."""
    if form.image_url is None or loaded.key is not None:
        return None
    return form.image_url.split("?")[0]


def are_current(pictures: Sequence[Picture], shown: Sequence[ShownPicture]) -> bool:
    """Whether the pictures were prepared for a product that shows these pictures.

    Otherwise a copy may be removed meanwhile, or the first picture has no vector.
    """
    if not pictures[0].embeddings and not (shown and pictures[0].sha256 == shown[0].image_sha256):
        return False
    return all(any(picture.is_of(row) for row in shown) for picture in pictures if picture.is_shown)


async def hold_sources(session: AsyncSession, pictures: Sequence[Picture]) -> dict[UUID, File]:
    """Locks the uploads that the pictures come from, so that they can't be deleted meanwhile.

    Raises:
        NotFound: one was deleted since it was read.
    """
    files: dict[UUID, File] = {}
    for file_id in sorted({picture.file_id for picture in pictures if picture.file_id}):
        file = await hold_file(session, file_id)
        if file is None:
            raise NotFound("no such picture")
        files[file_id] = file
    return files


def source_of(
    picture: Picture,
    shown: Sequence[ShownPicture],
    files: Mapping[UUID, File],
    owner_id: UUID | None,
) -> dict[str, Any]:
    """The columns of a picture, in the row of a product of this owner.

    The owner of another merchant's upload can still delete it: the product has its own copy.
    """
    columns = {"image_key": picture.key, "image_sha256": picture.sha256}
    if picture.is_own_copy:
        row = next(row for row in shown if picture.is_of(row))
        return columns | {"file_id": row.file_id, "image_url": row.image_url}
    file = files.get(picture.file_id) if picture.file_id else None
    is_own = file is not None and file.owner_id == owner_id
    return columns | {
        "file_id": picture.file_id if is_own else None, "image_url": picture.image_url,
    }  # fmt: skip


async def write_vectors(session: AsyncSession, product: Product, picture: Picture) -> None:
    """Writes the vectors of the product's first picture that are not stored yet."""
    for embedding in picture.embeddings:
        stored = await get_embedding(session, product.id, embedding.version)
        if stored is None or stored.image_sha256 != picture.sha256:
            await put_embedding(
                session,
                ProductEmbedding(
                    product_id=product.id,
                    embedder_version=embedding.version,
                    vector=pack_vector(embedding.vector),
                    image_sha256=picture.sha256,
                ),
            )
