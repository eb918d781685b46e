"""What the studio needs from the outside: models, index, blobs, cache; protocols, no code."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from integrations.blobs.keys import READ_URL_S, BlobEntry, BlobInfo, SignedUpload
from integrations.windows import Take, Window
from models.sales.shapes import (
    CoveredEmbedding,
    Evaluation,
    Observations,
    ScoreAnswer,
    ScoreQuery,
    TrainedVersion,
)
from studio.context import Origin, current_origin

if TYPE_CHECKING:
    from db.engine import Database
    from errors import StudioError
    from integrations.fetch import Fetcher
    from integrations.paypal.paypal import PayPal
    from settings import Settings

Vector = NDArray[np.float32]
"""Shape (dim,), float32, unit length."""


@dataclass(frozen=True)
class Embedding:
    """A unit vector and the fingerprint of the checkpoint that made it."""

    version: str
    vector: Vector


@dataclass(frozen=True)
class Filters:
    """Which products may be found; empty means all. Texts compare without case."""

    category: frozenset[str] = frozenset()
    brand: frozenset[str] = frozenset()
    price_min: float | None = None
    price_max: float | None = None
    in_stock: bool | None = None


@dataclass(frozen=True)
class IndexQuery:
    """One search: an image vector, a text vector, or both blended by alpha in [0, 1].

    `origin`: searches travel in batches, so each carries the request that it belongs to.
    """

    top_k: int
    embedder_version: str = ""
    image: Vector | None = None
    text: Vector | None = None
    alpha: float = 0.5
    filters: Filters = field(default_factory=Filters)
    exclude: frozenset[str] = frozenset()
    origin: Origin = field(default_factory=current_origin, compare=False)


@dataclass(frozen=True)
class IndexAnswer:
    """Ids and scores, best first, equal scores by id, and the index version that answered."""

    version: str
    hits: list[tuple[str, float]]


@dataclass(frozen=True)
class RawQuery:
    """A search whose picture (encoded) or words have to be embedded first.

    `query` holds everything else; a side whose vector is known is in it already.
    """

    query: IndexQuery
    image: bytes | None = None
    text: str | None = None


@dataclass(frozen=True)
class EmbeddedAnswer:
    """The index's answer to a raw query, and what the embedder made of its words."""

    answer: IndexAnswer
    embedder_version: str
    text: Vector | None = None


class Embedder(Protocol):
    """Images and texts to unit vectors of one space; two versions are never compared."""

    async def embed_image(self, image: bytes) -> Embedding:
        """Encoded image (JPEG, PNG, WebP, GIF, BMP, TIFF) -> vector.

        Raises:
            NotAnImage, Invalid, TooLarge: the picture can't be used.
            Unavailable: the deployment is saturated or down.
        """
        ...

    async def embed_images(self, images: Sequence[bytes]) -> "list[Embedding | StudioError]":
        """Many encoded images, each to its vector or its own error; searches come between them.

        Raises:
            Unavailable: the deployment is saturated or down.
        """
        ...

    async def embed_text(self, text: str) -> Embedding:
        """Any unicode text -> vector."""
        ...

    async def embed_covered(self, image: bytes, boxes: NDArray[np.float32]) -> CoveredEmbedding:
        """Encoded image -> its vector, and one for each box (k, 4) that is covered in it.

        boxes: left, top, right, bottom, as shares of the sides of what the model looks at; they
        are covered with the background's colour. Raises as `embed_image` does.
        """
        ...

    async def search(self, raw: RawQuery) -> EmbeddedAnswer:
        """Embeds and asks the index with it: the vectors don't come back in between.

        Raises:
            NotAnImage, Invalid, TooLarge: the picture can't be used.
            Unavailable: embedder or index is saturated or down, no index is active, or a vector
                of the query comes from another embedder than the one in service.
        """
        ...

    async def version(self) -> str:
        """Fingerprint of the checkpoint in service."""
        ...


class Index(Protocol):
    """Nearest products."""

    async def search(self, query: IndexQuery) -> IndexAnswer:
        """Raises:
        Unavailable: no active version is loaded.
        Conflict: the query's vectors come from another embedder than the index.
        """
        ...

    async def status(self) -> Mapping[str, object]:
        """`version`, `embedderVersion`, `count`, `appliedSeq` of the replica that answers."""
        ...


@dataclass(frozen=True)
class SegmentPrompt:
    """What to cut out of a picture. target: garment, upper, lower, dress or person. points:
    (x, y, inside?) and box: (x0, y0, x1, y1), in pixels of the picture as a viewer shows it.
    """

    target: str | None = None
    points: tuple[tuple[float, float, bool], ...] = ()
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class SegmentAnswer:
    """A mask that was written. bbox: x, y, width, height in pixels; area: pixels inside; score:
    0 to 1; label: the word for what was cut out; version: of the networks that did it;
    size_bytes: of the blob.
    """

    width: int
    height: int
    area: int
    bbox: tuple[int, int, int, int]
    score: float
    label: str
    version: str
    size_bytes: int


class Segmenter(Protocol):
    """Cuts garments and people out of pictures; reads and writes the blobs itself."""

    async def segment(self, image_key: str, prompt: SegmentPrompt, mask_key: str) -> SegmentAnswer:
        """Picture blob -> mask blob: PNG, one 8-bit channel, the picture's size, 255 inside.

        Raises:
            NotFound: no such picture.
            NotAnImage, Invalid, TooLarge: the picture or the prompt can't be used, or what is
                asked for is not in the picture.
            Unavailable: the deployment is saturated or down.
        """
        ...

    async def version(self) -> str:
        """Names the networks in service."""
        ...


class Regressor(Protocol):
    """Sales scores of pictures' vectors, by a merchant's own version or the starter."""

    async def score(self, query: ScoreQuery) -> ScoreAnswer:
        """Raises:
        Conflict: the version was trained for another embedder than the one in service.
        Invalid: its files are damaged. NotFound: they are missing.
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


@dataclass(frozen=True)
class TryOnOrder:
    """A try-on as blob keys; the picture goes to `output_key`, a lossless PNG.

    mask_key: the garment's mask, of the garment's size. category None is guessed, steps None is
    the quality's. accepted_s: when it was accepted, seconds of the epoch; the earliest of an owner
    goes first. network: where a request came from, empty for a job.
    """

    person_key: str
    garment_key: str
    mask_key: str
    output_key: str
    seed: int
    accepted_s: float
    category: str | None = None
    quality: str = "balanced"
    steps: int | None = None
    owner: str = ""
    network: str = ""


@dataclass(frozen=True)
class TryOnStep:
    """How far a try-on is, and what begins."""

    done: int
    total: int
    message: str


@dataclass(frozen=True)
class TryOnMade:
    """A finished try-on: what ran, how long each step took, what made it, the picture's bytes."""

    category: str
    width: int
    height: int
    steps: list[str]
    timings: dict[str, float]
    model_version: str
    size_bytes: int


@dataclass(frozen=True)
class TryOnLoad:
    """How busy the TryOn replica that answers is, and what it takes directly."""

    waiting: int
    direct_waiting: int
    direct_pixels: int
    model_version: str


class TryOn(Protocol):
    """Dresses people, one at a time, owners in turn, the earliest accepted of each first."""

    def dress(self, order: TryOnOrder) -> AsyncIterator["TryOnStep | TryOnMade"]:
        """Steps, at least one every few seconds, and at last what was made.

        Closing the iterator ends the work at its next step.

        Raises:
            NotFound: a blob is not there.
            NotAnImage, Invalid, TooLarge: a picture can't be used; the message says which.
            Unavailable: too many wait already, in all or of this owner; or the deployment is down.
        """
        ...

    async def load(self) -> TryOnLoad:
        """Raises:
        Unavailable: the deployment is down.
        """
        ...


class Dispatcher(Protocol):
    """Whoever starts queued jobs."""

    async def status(self) -> Mapping[str, object]:
        """`silentS` since its last turn, types `running`, `backlog` by type, `overdue` jobs.

        Raises:
            Unavailable: none answers.
        """
        ...


class BlobStore(Protocol):
    """One container of immutable blobs. Keys are ours: `uploads/...`, `products/...`."""

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        """Writes or replaces the blob at once, never half."""
        ...

    async def get(self, key: str) -> bytes:
        """Raises:
        NotFound: no such blob.
        """
        ...

    async def put_file(self, key: str, path: Path) -> None:
        """As `put`, streamed from a file that may be larger than memory."""
        ...

    async def get_file(self, key: str, path: Path) -> None:
        """Streams the blob into a file, new or overwritten.

        Raises:
            NotFound: no such blob; the file may be left, empty.
        """
        ...

    def stream(self, key: str) -> AsyncIterator[bytes]:
        """The blob in pieces of at most 1 MB.

        Raises:
            NotFound: no such blob.
        """
        ...

    async def head(self, key: str) -> BlobInfo | None:
        """None where there is no such blob."""
        ...

    async def delete(self, key: str) -> None:
        """Quiet where there is no such blob. A signed PUT of the key works again: see `bury`."""
        ...

    async def bury(self, key: str, *, until: datetime) -> None:
        """Deletes the blob, if there is one, and refuses every signed PUT of its key until then.

        `until` in the past is a plain deletion.
        """
        ...

    def list(self, prefix: str) -> AsyncIterator[str]:
        """Keys that start with the prefix, in order; no tombstones."""
        ...

    def scan(self, prefix: str, *, after: str = "") -> AsyncIterator[BlobEntry]:
        """Blobs whose keys start with the prefix and come after `after`, in order of their keys.

        Reads page by page, so the store may be of any size. Where tombstones are blobs (Azure)
        they are listed too: delete those that are older than a day.
        """
        ...

    async def drop_unfinished(self, *, older_than_s: float) -> None:
        """Removes halves of uploads whose sender has gone, and local tombstones that have ended."""
        ...

    async def sign_put(
        self, key: str, *, content_type: str, max_bytes: int, lifetime_s: int
    ) -> SignedUpload: ...

    async def sign_get(self, key: str, *, lifetime_s: int = READ_URL_S) -> str:
        """A URL for plain GET, for 15 to 20 minutes; it stays the same for a few of them.

        Made without a round trip wherever the store allows it.
        """
        ...

    def key_of(self, url: str) -> str | None:
        """The key of one of this store's own URLs (signed or not), None for any other URL."""
        ...

    async def check(self) -> None:
        """Raises:
        Unavailable: the store does not answer.
        """
        ...

    async def aclose(self) -> None: ...


class Cache(Protocol):
    """Valkey or Redis; nothing in it is the only copy of anything."""

    async def get(self, key: str) -> bytes | None: ...

    async def set(self, key: str, value: bytes, *, lifetime_s: int) -> None: ...

    async def add(self, key: str, value: bytes, *, lifetime_s: int) -> bool:
        """Sets only where absent; False where the key was there."""
        ...

    async def replace(self, key: str, expected: bytes, value: bytes, *, lifetime_s: int) -> bool:
        """Writes only over the expected value; whether it did."""
        ...

    async def discard(self, key: str, expected: bytes) -> bool:
        """Deletes only the expected value; whether it did."""
        ...

    async def remaining_s(self, key: str) -> float:
        """How long the key will still be there; 0 where there is none."""
        ...

    async def increment(self, key: str, by: int, *, lifetime_s: int) -> int:
        """Adds to a count that starts at 0, in one step; returns the sum."""
        ...

    async def take(self, key: str) -> bytes | None:
        """Reads and deletes in one step."""
        ...

    async def delete(self, key: str) -> None: ...

    async def add_counts(self, counts: Mapping[str, Mapping[str, int]], *, lifetime_s: int) -> None:
        """Adds to the counters of each key, by field, all or none; the keys then live so long."""
        ...

    async def read_counts(self, keys: Sequence[str]) -> list[dict[str, int]]:
        """The counters of each key, by field; empty where there is nothing."""
        ...

    async def count_in_windows(self, asked: Sequence[Take], *, window_ms: int) -> list[Window]:
        """Counts each request in its caller's sliding window, in order, if there is room."""
        ...

    async def check(self) -> None:
        """Raises:
        Unavailable: the cache does not answer.
        """
        ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True)
class Studio:
    """All that a request or a job may reach."""

    settings: "Settings"
    database: "Database"
    blobs: BlobStore
    cache: Cache
    fetcher: "Fetcher"
    embedder: Embedder
    index: Index
    regressor: Regressor
    dispatcher: Dispatcher
    segmenter: Segmenter
    tryon: TryOn
    paypal: "PayPal | None" = None


__all__ = [
    "BlobEntry",
    "BlobInfo",
    "BlobStore",
    "Cache",
    "Dispatcher",
    "EmbeddedAnswer",
    "Embedder",
    "Embedding",
    "Filters",
    "Index",
    "IndexAnswer",
    "IndexQuery",
    "RawQuery",
    "Regressor",
    "SegmentAnswer",
    "SegmentPrompt",
    "Segmenter",
    "SignedUpload",
    "Studio",
    "Take",
    "TryOn",
    "TryOnLoad",
    "TryOnMade",
    "TryOnOrder",
    "TryOnStep",
    "Vector",
    "Window",
]
