"""Searches: words and pictures to vectors, vectors to products, and a row of the search log."""

import hashlib
import time
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import structlog

from db.catalog import get_embedding, get_product, get_products
from db.tables import Product
from errors import EmbedderMismatch, NotFound, Unavailable
from models.embedder.shapes import Embedding, unpack_vector
from models.index.shapes import SearchAnswer, SearchQuery
from studio.context import current_request_id
from studio.files.files import load_image
from studio.files.picture_memory import hold_picture
from studio.ports import Studio
from studio.search.forms import (
    HybridSearchForm,
    PictureSearchForm,
    SearchForm,
    SimilarSearchForm,
    TextSearchForm,
)
from studio.search.log import SearchLogWriter

TEXT_VECTOR_LIFETIME_S = 7 * 24 * 3600

logger = structlog.get_logger("studio.search")


@dataclass(frozen=True)
class Match:
    """A product, its score, and a URL of its picture."""

    product: Product
    score: float
    image: str


@dataclass(frozen=True)
class SearchResult:
    """The products, best first, the index version that answered, and how long it took."""

    matches: list[Match]
    index_version: str
    latency_ms: float


async def search(
    studio: Studio, log: SearchLogWriter, user_id: UUID | None, form: SearchForm
) -> SearchResult:
    """Finds products and writes a row of the search log.

    Raises:
        NotFound: there is no such picture or product, or it is another account's.
        NotAnImage, Invalid, TooLarge, UpstreamFailed: the picture can't be used.
        Unavailable: no index is active, or a deployment is saturated or down.
    """
    started_s = time.perf_counter()
    picture = await _load_picture(studio, user_id, form)
    answer = await _answer(studio, form, picture)
    matches = await _to_matches(studio, answer)
    latency_ms = round((time.perf_counter() - started_s) * 1000, 2)
    log.write(_log_row(user_id, form, answer, latency_ms))
    return SearchResult(matches, answer.index_version, latency_ms)


async def _load_picture(studio: Studio, user_id: UUID | None, form: SearchForm) -> bytes | None:
    if not isinstance(form, PictureSearchForm):
        return None
    picture = await load_image(studio, user_id, image_url=form.image_url, file_id=form.file_id)
    hold_picture(len(picture.data))
    return picture.data


async def _answer(studio: Studio, form: SearchForm, picture: bytes | None) -> SearchAnswer:
    """Asks by the caller's embedder; while embedders are exchanged, also by the other one.

    At last everything is embedded again, because a known vector may be of an embedder that has just
    been replaced.
    """
    order = await studio.embedder.search_order()
    for embedder in order:
        by_embedder = replace(studio, embedder=embedder)
        try:
            return await _ask(by_embedder, await _to_query(by_embedder, form, picture))
        except EmbedderMismatch as error:
            logger.warning("search.embedder_mismatch", reason=error.detail)
        except Unavailable:
            if embedder is order[-1]:
                raise
    by_embedder = replace(studio, embedder=order[0])
    query = await _to_query(by_embedder, form, picture, is_known=False)
    return await _ask(by_embedder, query)


async def _to_query(
    studio: Studio, form: SearchForm, picture: bytes | None, *, is_known: bool = True
) -> SearchQuery:
    """The form with its picture, and with the vectors that are already known unless not wanted."""
    query = SearchQuery(form.top_k, filters=form.to_filters(), picture=picture)
    if isinstance(form, SimilarSearchForm):
        return await _with_product(studio, query, form.similar_to, is_known=is_known)
    if isinstance(form, HybridSearchForm):
        query = replace(query, alpha=form.alpha)
    if isinstance(form, TextSearchForm | HybridSearchForm):
        query = await _with_words(studio, query, form.query, is_known=is_known)
    return query


async def _with_product(
    studio: Studio, query: SearchQuery, product_id: str, *, is_known: bool
) -> SearchQuery:
    """The query with the product's vector, or with its picture where there is no vector yet."""
    version = await studio.embedder.version()
    async with studio.database.read() as session:
        product = await get_product(session, product_id)
        if product is None:
            raise NotFound(f"there is no product {product_id}")
        embedding = await get_embedding(session, product_id, version) if is_known else None
    query = replace(query, exclude=frozenset({product_id}))
    if embedding is None:
        return replace(query, picture=await studio.blobs.get(product.image_key))
    vector = unpack_vector(embedding.vector).astype(np.float32)
    return replace(query, embedder_version=version, image=vector)


async def _with_words(
    studio: Studio, query: SearchQuery, text: str, *, is_known: bool
) -> SearchQuery:
    """The query with the words' vector where it is cached, so that no model has to run."""
    words = " ".join(unicodedata.normalize("NFC", text).split())
    cached = await _cached_text(studio, words) if is_known else None
    if cached is None:
        return replace(query, words=words)
    return replace(query, embedder_version=cached.version, text=cached.vector)


async def _ask(studio: Studio, query: SearchQuery) -> SearchAnswer:
    """Asks the index directly where the query is embedded, otherwise through the embedder."""
    if query.is_embedded:
        return await studio.index.search(query)
    answer = await studio.embedder.search(query)
    if query.words is not None and answer.text is not None:
        await _cache_text(studio, query.words, Embedding(answer.embedder_version, answer.text))
    return answer


def _text_key(version: str, words: str) -> str:
    return f"text-vector:{version}:{hashlib.sha256(words.encode()).hexdigest()}"


async def _cached_text(studio: Studio, words: str) -> Embedding | None:
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


async def _to_matches(studio: Studio, answer: SearchAnswer) -> list[Match]:
    """The hits whose products are still live."""
    async with studio.database.read() as session:
        products = await get_products(session, [product_id for product_id, _ in answer.hits])
    return [
        Match(product, score, await studio.blobs.sign_get(product.image_key))
        for product_id, score in answer.hits
        if (product := products.get(product_id)) is not None
    ]


def _log_row(
    user_id: UUID | None, form: SearchForm, answer: SearchAnswer, latency_ms: float
) -> dict[str, Any]:
    return {
        "id": uuid4(),
        "user_id": user_id,
        "type": form.type,
        "params": form.to_params(),
        "results": [product_id for product_id, _ in answer.hits],
        "latency_ms": latency_ms,
        "index_version": answer.index_version,
        "embedder_version": answer.embedder_version,
        "request_id": current_request_id(),
    }
