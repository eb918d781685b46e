"""Search: words, a picture or both to vectors, vectors to products, and a row of what was asked."""

import hashlib
import time
import unicodedata
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import numpy as np

from db.catalog import get_embedding, get_product, get_products
from db.tables import Product
from errors import NotFound, Unavailable
from studio.context import current_request_id
from studio.files.files import load_image
from studio.files.picture_memory import hold_picture
from studio.index.rows import unpack_vector
from studio.ports import (
    EmbeddedAnswer,
    Embedding,
    Filters,
    IndexAnswer,
    IndexQuery,
    RawQuery,
    Studio,
)
from studio.search.log import SearchLogWriter

TEXT_VECTOR_LIFETIME_S = 7 * 24 * 3600


@dataclass(frozen=True)
class SearchRequest:
    """What is looked for: words, a picture, both, or the neighbours of a product."""

    top_k: int
    filters: Filters = field(default_factory=Filters)
    query: str | None = None
    image_url: str | None = None
    file_id: UUID | None = None
    similar_to: str | None = None
    alpha: float = 0.5

    @property
    def type(self) -> str:
        """`text`, `image`, `hybrid` or `similar`, as the log calls it."""
        if self.similar_to is not None:
            return "similar"
        has_image = self.image_url is not None or self.file_id is not None
        if self.query is not None:
            return "hybrid" if has_image else "text"
        return "image"


@dataclass(frozen=True)
class Found:
    """A product, how well it fits, and a URL of its picture."""

    product: Product
    score: float
    image: str


@dataclass(frozen=True)
class SearchAnswer:
    """The products, best first, and who answered how fast."""

    results: list[Found]
    index_version: str
    latency_ms: float


async def search(
    studio: Studio, log: SearchLogWriter, user_id: UUID | None, request: SearchRequest
) -> SearchAnswer:
    """Finds products.

    Raises:
        NotFound: the picture or the product is absent or another user's.
        NotAnImage, Invalid, TooLarge, UpstreamFailed: the picture can't be used.
        Unavailable: no index is active, or a deployment is saturated or down.
    """
    started_s = time.perf_counter()
    found = await _find(studio, user_id, request)
    results = await _to_results(studio, found.answer)
    latency_ms = round((time.perf_counter() - started_s) * 1000, 2)
    log.write(_log_row(user_id, request, found, latency_ms))
    return SearchAnswer(results, found.answer.version, latency_ms)


async def _find(studio: Studio, user_id: UUID | None, request: SearchRequest) -> EmbeddedAnswer:
    """To the index right away where every vector is known, else through the embedder."""
    query = IndexQuery(
        request.top_k,
        alpha=request.alpha,
        filters=request.filters,
        exclude=frozenset({request.similar_to} if request.similar_to else ()),
    )
    picture: bytes | None = None
    if request.similar_to is not None:
        known, picture = await _product_picture(studio, request.similar_to)
        query = _with(query, image=known)
    elif request.type != "text":
        loaded = await load_image(
            studio, user_id, image_url=request.image_url, file_id=request.file_id
        )
        picture = loaded.data
        hold_picture(len(picture))
    words = _normalise(request.query)
    if words is not None:
        query = _with(query, text=await _cached_text(studio, words))
    unknown_words = words if query.text is None else None
    if picture is None and unknown_words is None:
        return EmbeddedAnswer(await studio.index.search(query), query.embedder_version)
    found = await studio.embedder.search(RawQuery(query, picture, unknown_words))
    if unknown_words is not None and found.text is not None:
        await _cache_text(studio, unknown_words, Embedding(found.embedder_version, found.text))
    return found


def _with(
    query: IndexQuery, *, image: Embedding | None = None, text: Embedding | None = None
) -> IndexQuery:
    """The query with a vector that is known already."""
    known = image or text
    if known is None:
        return query
    return replace(
        query,
        embedder_version=known.version,
        image=image.vector if image else query.image,
        text=text.vector if text else query.text,
    )


def _normalise(words: str | None) -> str | None:
    return None if words is None else " ".join(unicodedata.normalize("NFC", words).split())


def _text_key(version: str, words: str) -> str:
    return f"text-vector:{version}:{hashlib.sha256(words.encode()).hexdigest()}"


async def _cached_text(studio: Studio, words: str) -> Embedding | None:
    """The words' vector where they were asked before: no model runs."""
    version = await studio.embedder.version()
    with suppress(Unavailable):  # a search does not need the cache
        cached = await studio.cache.get(_text_key(version, words))
        if cached is not None:
            return Embedding(version, np.frombuffer(cached, dtype="<f4").astype(np.float32))
    return None


async def _cache_text(studio: Studio, words: str, embedding: Embedding) -> None:
    packed = embedding.vector.astype("<f4").tobytes()
    with suppress(Unavailable):
        key = _text_key(embedding.version, words)
        await studio.cache.set(key, packed, lifetime_s=TEXT_VECTOR_LIFETIME_S)


async def _product_picture(
    studio: Studio, product_id: str
) -> tuple[Embedding | None, bytes | None]:
    """The product's vector, or its picture where the embedder has not seen it yet."""
    version = await studio.embedder.version()
    async with studio.database.read() as session:
        product = await get_product(session, product_id)
        if product is None:
            raise NotFound(f"there is no product {product_id}")
        kept = await get_embedding(session, product_id, version)
    if kept is None:
        return None, await studio.blobs.get(product.image_key)
    return Embedding(version, unpack_vector(kept.vector).astype(np.float32)), None


async def _to_results(studio: Studio, answer: IndexAnswer) -> list[Found]:
    async with studio.database.read() as session:
        products = await get_products(session, [product_id for product_id, _ in answer.hits])
    return [
        Found(
            products[product_id], score, await studio.blobs.sign_get(products[product_id].image_key)
        )
        for product_id, score in answer.hits
        if product_id in products
    ]


def _log_row(
    user_id: UUID | None, request: SearchRequest, found: EmbeddedAnswer, latency_ms: float
) -> dict[str, Any]:
    return {
        "id": uuid4(),
        "user_id": user_id,
        "type": request.type,
        "params": _params(request),
        "results": [product_id for product_id, _ in found.answer.hits],
        "latency_ms": latency_ms,
        "index_version": found.answer.version,
        "embedder_version": found.embedder_version,
        "request_id": current_request_id(),
    }


def _params(request: SearchRequest) -> dict[str, Any]:
    """What was asked, without the signatures of URLs (they are credentials)."""
    params = {name: value for name, value in asdict(request).items() if value is not None}
    params["filters"] = {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in params["filters"].items()
        if value not in (None, frozenset())
    }
    if request.image_url is not None:
        params["image_url"] = request.image_url.split("?")[0]
    if request.file_id is not None:
        params["file_id"] = str(request.file_id)
    return params
