"""The protocols of the deployments and the blob store, and `Studio`, which has one of each."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from errors import Unavailable
from integrations.blobs.keys import READ_URL_S, BlobEntry, BlobInfo, SignedUpload
from models.embedder.shapes import Embedding
from models.index.catalogue_values import CatalogueValues
from models.index.shapes import SearchAnswer, SearchQuery
from models.sales.shapes import (
    CoveredEmbedding,
    Evaluation,
    Observations,
    ScoreAnswer,
    ScoreQuery,
    TrainedVersion,
)

if TYPE_CHECKING:
    from db.engine import Database
    from errors import StudioError
    from integrations.cache import RedisCache
    from integrations.fetch import Fetcher
    from integrations.paypal.paypal import PayPal
    from models.segmenter.shapes import SegmentAnswer, SegmentPrompt
    from models.tryon.shapes import (
        TryOnLoad,
        TryOnOrder,
        TryOnResult,
        TryOnStep,
        TryOnTicket,
    )
    from settings import Settings


class Embedder(Protocol):
    """Embeds images and texts in one space, as unit vectors; versions must not be mixed."""

    async def embed_image(self, image: bytes) -> Embedding:
        """Encoded image (JPEG, PNG, WebP, GIF, BMP, TIFF) -> vector.

        Raises:
            NotAnImage, Invalid, TooLarge: the picture can't be used.
            Unavailable: the deployment is saturated or down.
        """
        ...

    async def embed_images(self, images: Sequence[bytes]) -> "list[Embedding | StudioError]":
        """Many encoded images, each to its vector or its own error; searches run in between.

        Raises:
            Unavailable: the deployment is saturated or down.
        """
        ...

    async def embed_text(self, text: str) -> Embedding:
        """Any unicode text -> vector.

        Raises:
            Unavailable: the deployment is saturated or down.
        """
        ...

    async def embed_texts(self, texts: Sequence[str]) -> list[Embedding]:
        """Many texts, in order; searches run in between.

        Raises:
            Unavailable: the deployment is saturated or down.
        """
        ...

    async def embed_covered(self, image: bytes, boxes: NDArray[np.float32]) -> CoveredEmbedding:
        """Encoded image -> its vector, and one for each box (k, 4) that is covered in it.

        boxes: left, top, right, bottom, as shares of the sides of the model's input; they are
        covered with the background's colour. Raises as `embed_image` does.
        """
        ...

    async def search(self, query: SearchQuery) -> SearchAnswer:
        """Embeds the query's picture and words, then asks the index, in one call.

        Raises:
            NotAnImage, Invalid, TooLarge: the picture can't be used.
            Unavailable: embedder or index is saturated or down, no index is active, or a vector
                of the query comes from another embedder than the one in service.
        """
        ...

    async def version(self) -> str:
        """Returns the fingerprint of the checkpoint in service."""
        ...


class Index(Protocol):
    """Finds the products nearest to vectors."""

    async def search(self, query: SearchQuery) -> SearchAnswer:
        """Answers a query whose vectors are known.

        Raises:
            Unavailable: no version is active, the query's vectors come from another embedder than
                the index, or too many searches wait.
        """
        ...

    async def status(self) -> Mapping[str, object]:
        """`version`, `embedderVersion`, `count`, `appliedSeq`; `rebuildDue` if one is active."""
        ...

    async def complete(self, phrase: str, most: int) -> list[str]:
        """Ids of products whose words begin as the phrase does, best first; raises as `search`."""
        ...

    async def catalogue_values(self) -> CatalogueValues:
        """The values that the products carry, counted some seconds ago; raises as `search`."""
        ...


class Segmenter(Protocol):
    """Cuts garments and people out of pictures; reads and writes the blobs itself."""

    async def segment(
        self, image_key: str, prompt: "SegmentPrompt", mask_key: str
    ) -> "SegmentAnswer":
        """Picture blob -> mask blob: PNG, one 8-bit channel, the picture's size, 255 inside.

        Raises:
            NotFound: there is no such picture.
            NotAnImage, Invalid, TooLarge: the picture or the prompt can't be used, or the picture
                does not show what the prompt asks for.
            Unavailable: the deployment is saturated or down.
        """
        ...

    async def version(self) -> str:
        """Identifies the networks in service."""
        ...


class Regressor(Protocol):
    """Sales scores of pictures' vectors, by a merchant's own version or the starter."""

    async def score(self, query: ScoreQuery) -> ScoreAnswer:
        """Predicts the sales score of a picture.

        Raises:
            Conflict: the version was trained for another embedder than the one in service.
            NotFound: its files are missing.
            Invalid: its files are damaged.
            Unavailable: the deployment is saturated or down.
        """
        ...

    async def evaluate(
        self, version: TrainedVersion | None, observations: Observations
    ) -> Evaluation:
        """Measures and plots of a version on observed sales; raises as `score` does."""
        ...

    async def status(self) -> Mapping[str, object]:
        """`starter`, the starter's `embedderVersion`, and the versions that are `loaded`."""
        ...


class TryOn(Protocol):
    """Dresses people, one at a time; owners take turns, an owner's earliest try-on comes first."""

    def dress(
        self, order: "TryOnOrder", ticket: "TryOnTicket"
    ) -> AsyncIterator["TryOnStep | TryOnResult"]:
        """Yields steps, at least one every few seconds, and the result at the end.

        The picture is written to the ticket's key, a lossless PNG. Closing the iterator cancels
        the work at its next step.

        Raises:
            NotFound: a blob is missing.
            NotAnImage, Invalid, TooLarge: a picture can't be used; the error's `subject` says
                which.
            Unavailable: too many try-ons of this owner or of all wait already, or the deployment
                is down.
        """
        ...

    async def load(self) -> "TryOnLoad":
        """Returns how many try-ons wait, and the limits of direct try-ons.

        Raises:
            Unavailable: the deployment is down.
        """
        ...


class Dispatcher(Protocol):
    """Starts queued jobs."""

    async def status(self) -> Mapping[str, object]:
        """The `name` of the replica that answers, `silentS` (the seconds since its last turn), the
        types of its `running` jobs, and its `warnings`; of all replicas, the `backlog` by type and
        the number of `overdue` jobs.

        Raises:
            Unavailable: no dispatcher answers.
        """
        ...


class BlobStore(Protocol):
    """One container of immutable blobs; the studio chooses their keys, e.g. `uploads/...`."""

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        """Writes or replaces the blob atomically."""
        ...

    async def get(self, key: str) -> bytes:
        """Returns the content of a blob.

        Raises:
            NotFound: there is no such blob.
        """
        ...

    async def put_file(self, key: str, path: Path) -> None:
        """Like `put`, streamed from a file that may be larger than memory."""
        ...

    async def get_file(self, key: str, path: Path) -> None:
        """Streams the blob into a file, new or overwritten.

        Raises:
            NotFound: there is no such blob; an empty file may be left.
        """
        ...

    async def get_range(self, key: str, start: int, size: int) -> bytes:
        """Returns `size` bytes from `start` on, or fewer where the blob ends before.

        Raises:
            NotFound: there is no such blob.
            Unavailable: the store does not answer, or the blob ends before `start` (Azure).
        """
        ...

    def stream(self, key: str) -> AsyncIterator[bytes]:
        """Yields the blob in pieces of at most 1 MB.

        Raises:
            NotFound: there is no such blob.
        """
        ...

    async def head(self, key: str) -> BlobInfo | None:
        """Returns the size and type of the blob; None if there is no such blob."""
        ...

    async def delete(self, key: str) -> None:
        """Deletes the blob, if there is one. A signed PUT of the key works again: see `bury`."""
        ...

    async def bury(self, key: str, *, until: datetime) -> None:
        """Deletes the blob, if there is one, and refuses signed PUTs of its key until then."""
        ...

    def list(self, prefix: str) -> AsyncIterator[str]:
        """Yields the keys that start with the prefix, in order, without tombstones."""
        ...

    def scan(self, prefix: str, *, after: str = "") -> AsyncIterator[BlobEntry]:
        """Blobs whose keys start with the prefix and come after `after`, in order of their keys.

        Reads page by page, so the store may be of any size. Where tombstones are blobs (Azure)
        they are listed too: delete those that are older than a day.
        """
        ...

    async def drop_unfinished(self, *, older_than_s: float) -> None:
        """Removes unfinished uploads older than this, and local tombstones that have ended."""
        ...

    async def sign_put(
        self, key: str, *, content_type: str, max_bytes: int, lifetime_s: int
    ) -> SignedUpload: ...

    async def sign_get(self, key: str, *, lifetime_s: int = READ_URL_S) -> str:
        """A URL for plain GET, for 15 to 20 minutes; made without a round trip if possible."""
        ...

    def key_of(self, url: str) -> str | None:
        """The key of one of this store's own URLs (signed or not), None for any other URL."""
        ...

    async def check(self) -> None:
        """Checks that the store answers.

        Raises:
            Unavailable: it does not.
        """
        ...

    async def aclose(self) -> None: ...


class Absent:
    """Stands for a part that this process has not opened; using it is an error."""

    def __getattr__(self, name: str) -> Any:
        """Refuses every use of the missing part.

        Raises:
            Unavailable: always.
        """
        if name.startswith("__"):  # copying and pickling look special methods up
            raise AttributeError(name)
        raise Unavailable("this process has opened its studio without this part")


ABSENT: Any = Absent()


@dataclass(frozen=True)
class Studio:
    """Everything that a request or a job may use; a process that needs less leaves parts out."""

    settings: "Settings"
    database: "Database"
    blobs: BlobStore = ABSENT
    cache: "RedisCache" = ABSENT
    fetcher: "Fetcher" = ABSENT
    embedder: Embedder = ABSENT
    index: Index = ABSENT
    regressor: Regressor = ABSENT
    dispatcher: Dispatcher = ABSENT
    segmenter: Segmenter = ABSENT
    tryon: TryOn = ABSENT
    paypal: "PayPal | None" = None

    async def aclose(self) -> None:
        """Closes every connection of this process; the deployments keep running."""
        for part in (self.fetcher, self.paypal, self.database, self.cache, self.blobs):
            if part is not None and not isinstance(part, Absent):
                await part.aclose()
