"""Searches: words and pictures to vectors, vectors to products, and a row of the search log."""

import hashlib
import time
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import structlog

from db.catalog import get_embedding, get_product, get_products
from db.tables import Product
from errors import EmbedderMismatch, NotFound, Unavailable
from models.embedder.shapes import Embedding, unpack_vector
from models.index.shapes import Facet, Hit, SearchAnswer, SearchQuery
from studio.context import current_request_id
from studio.files.files import load_image
from studio.files.picture_memory import hold_picture
from studio.ports import Studio
from studio.rollout.embedders import search_order
from studio.search.cursor import SearchCursor, read_cursor
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
    """A product, its score, a URL of its picture, and the others of its group."""

    product: Product
    score: float
    image: str
    variants: "list[Match]" = field(default_factory=list)


@dataclass(frozen=True)
class SearchResult:
    """A page of products, the counts of all pages, and the cursor of the next page.

    index_version: which answered. latency_ms: how long it took. did_you_mean: the words as they
    were probably meant, where the catalogue does not have them as they stand.
    """

    matches: list[Match]
    total: int
    facets: dict[str, Facet]
    next_cursor: str | None
    index_version: str
    latency_ms: float
    did_you_mean: str | None = None


async def search(
    studio: Studio, log: SearchLogWriter, user_id: UUID | None, form: SearchForm
) -> SearchResult:
    """Finds products and writes a row of the search log.

    Raises:
        Malformed, Invalid, CursorExpired: the cursor can't be used.
        NotFound: there is no such picture or product, or it is another account's.
        NotAnImage, Invalid, TooLarge, UpstreamFailed: the picture can't be used.
        Unavailable: no index is active, or a deployment is saturated or down.
    """
    started_s = time.perf_counter()
    if form.cursor is None:
        picture = await _load_picture(studio, user_id, form)
        answer = await _answer(studio, form, picture)
    else:
        answer = await _answer_next_page(studio, form, form.cursor)
    matches = await _to_matches(studio, answer)
    latency_ms = round((time.perf_counter() - started_s) * 1000, 2)
    log.write(_log_row(user_id, form, answer, latency_ms))
    next_cursor = _next_cursor(studio, form, answer)
    return SearchResult(
        matches,
        answer.total,
        answer.facets,
        next_cursor,
        answer.index_version,
        latency_ms,
        answer.suggestion,
    )


async def _answer_next_page(studio: Studio, form: SearchForm, cursor: str) -> SearchAnswer:
    """Answers from the index and with the vectors of the previous page."""
    page = read_cursor(cursor, form.fingerprint(), studio.settings.present("jwt_secret"))
    query = replace(
        _plain_query(form),
        embedder_version=page.embedder_version,
        image=page.image,
        text=page.text,
        after=page.position,
        version=page.version,
    )
    return replace(await studio.index.search(query), image=page.image, text=page.text)


def _next_cursor(studio: Studio, form: SearchForm, answer: SearchAnswer) -> str | None:
    if answer.end is None:
        return None
    position = replace(answer.end, change_seq=answer.change_seq)
    secret = studio.settings.present("jwt_secret")
    return SearchCursor.of(answer, position).encode(form.fingerprint(), secret)


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
    order = await search_order(studio)
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
    query = replace(_plain_query(form), picture=picture)
    if isinstance(form, SimilarSearchForm):
        return await _with_product(studio, query, form.similar_to, is_known=is_known)
    if isinstance(form, TextSearchForm | HybridSearchForm):
        query = await _with_words(studio, query, form.query, is_known=is_known)
    return query


def _plain_query(form: SearchForm) -> SearchQuery:
    """What the index is asked, without vectors."""
    query = SearchQuery(
        form.top_k,
        filters=form.to_filters(),
        sort=form.sort,
        facets=tuple(dict.fromkeys(form.facets)),
        is_grouped=form.group_by is not None,
    )
    if isinstance(form, SimilarSearchForm):
        return replace(query, exclude=frozenset({form.similar_to}))
    if isinstance(form, TextSearchForm | HybridSearchForm):
        query = replace(query, phrase=form.query, words_weight=form.words)
    return replace(query, alpha=form.alpha) if isinstance(form, HybridSearchForm) else query


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
        answer = await studio.index.search(query)
    else:
        answer = await studio.embedder.search(query)
        if query.words is not None and answer.text is not None:
            await _cache_text(studio, query.words, Embedding(answer.embedder_version, answer.text))
    return replace(
        answer,
        image=query.image if answer.image is None else answer.image,
        text=query.text if answer.text is None else answer.text,
    )


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
    """The hits and their variants whose products are still live."""
    hits = [*answer.hits, *(hit for group in answer.variants.values() for hit in group)]
    async with studio.database.read() as session:
        products = await get_products(session, [product_id for product_id, _ in hits])

    async def match(hit: Hit, variants: list[Match]) -> Match:
        product = products[hit[0]]
        return Match(product, hit[1], await studio.blobs.sign_get(product.image_key), variants)

    matches: list[Match] = []
    for hit in answer.hits:
        group = [one for one in answer.variants.get(hit[0], []) if one[0] in products]
        if hit[0] in products:
            matches.append(await match(hit, [await match(one, []) for one in group]))
    return matches


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
