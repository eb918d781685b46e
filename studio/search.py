"""Search: words, a picture or both to vectors, vectors to products, and a row of what was asked."""

import hashlib
import time
import unicodedata
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID, uuid4

import numpy as np

from db.catalog import get_embedding, get_product, get_products
from db.tables import Product
from errors import NotFound, Unavailable
from studio.context import current_request_id
from studio.files import load_image
from studio.index_rows import unpack_vector
from studio.ports import Embedding, Filters, IndexAnswer, IndexQuery, Studio
from studio.search_log import SearchLogWriter

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
    query, version = await _to_query(studio, user_id, request)
    answer = await studio.index.search(query)
    results = await _to_results(studio, answer)
    latency_ms = round((time.perf_counter() - started_s) * 1000, 2)
    log.write(_log_row(user_id, request, answer, version, latency_ms))
    return SearchAnswer(results, answer.version, latency_ms)


async def _to_query(
    studio: Studio, user_id: UUID | None, request: SearchRequest
) -> tuple[IndexQuery, str]:
    if request.similar_to is not None:
        image: Embedding | None = await _product_embedding(studio, request.similar_to)
    elif request.type == "text":
        image = None
    else:
        loaded = await load_image(
            studio, user_id, image_url=request.image_url, file_id=request.file_id
        )
        image = await studio.embedder.embed_image(loaded.data)
    text = None if request.query is None else await embed_text(studio, request.query)
    version = (image or text).version  # type: ignore[union-attr]
    query = IndexQuery(
        top_k=request.top_k,
        embedder_version=version,
        image=image.vector if image else None,
        text=text.vector if text else None,
        alpha=request.alpha,
        filters=request.filters,
        exclude=frozenset({request.similar_to} if request.similar_to else ()),
    )
    return query, version


async def embed_text(studio: Studio, query: str) -> Embedding:
    """The words' vector; asked before, it comes from the cache and no model runs."""
    words = " ".join(unicodedata.normalize("NFC", query).split())
    version = await studio.embedder.version()
    key = f"text-vector:{version}:{hashlib.sha256(words.encode()).hexdigest()}"
    with suppress(Unavailable):  # a search does not need the cache
        cached = await studio.cache.get(key)
        if cached is not None:
            return Embedding(version, np.frombuffer(cached, dtype="<f4").astype(np.float32))
    embedding = await studio.embedder.embed_text(words)
    if embedding.version == version:
        packed = embedding.vector.astype("<f4").tobytes()
        with suppress(Unavailable):
            await studio.cache.set(key, packed, lifetime_s=TEXT_VECTOR_LIFETIME_S)
    return embedding


async def _product_embedding(studio: Studio, product_id: str) -> Embedding:
    version = await studio.embedder.version()
    async with studio.database.transaction() as session:
        product = await get_product(session, product_id)
        if product is None:
            raise NotFound(f"there is no product {product_id}")
        kept = await get_embedding(session, product_id, version)
    if kept is None:
        return await studio.embedder.embed_image(await studio.blobs.get(product.image_key))
    return Embedding(version, unpack_vector(kept.vector).astype(np.float32))


async def _to_results(studio: Studio, answer: IndexAnswer) -> list[Found]:
    async with studio.database.transaction() as session:
        products = await get_products(session, [product_id for product_id, _ in answer.hits])
    return [
        Found(
            products[product_id], score, await studio.blobs.sign_get(products[product_id].image_key)
        )
        for product_id, score in answer.hits
        if product_id in products
    ]


def _log_row(
    user_id: UUID | None,
    request: SearchRequest,
    answer: IndexAnswer,
    embedder_version: str,
    latency_ms: float,
) -> dict[str, Any]:
    return {
        "id": uuid4(),
        "user_id": user_id,
        "type": request.type,
        "params": _params(request),
        "results": [[product_id, score] for product_id, score in answer.hits],
        "latency_ms": latency_ms,
        "index_version": answer.version,
        "embedder_version": embedder_version,
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
