"""The Embedder and its handle in one process: searches, bulk texts, errors of single queries."""

import io
import warnings
from collections.abc import Iterator

import numpy as np
import pytest

from drawing.draw import Garment, draw_garment
from errors import NotAnImage, Unavailable
from models.embedder.embedder import EmbedderConfig
from models.index.files import empty_files
from models.index.product_index import ProductIndex
from models.index.shapes import ProductAttributes, SearchQuery
from studio.context import current_request_id, serving
from tests.support.local_replicas import LocalHandle, LocalIndex

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray Serve uses what pydantic deprecates
    from deployments.embedder import Embedder, EmbedderArgs
    from deployments.handles import PORTION, EmbedderHandle

COLOURS = ("red", "navy", "white")


def drawing(colour: str) -> bytes:
    """A drawn dress as a PNG."""
    out = io.BytesIO()
    draw_garment(Garment("dress", colour), 96).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def index() -> LocalIndex:
    return LocalIndex()


@pytest.fixture
async def embedder(index: LocalIndex) -> EmbedderHandle:
    """A handle of an Embedder whose index has one dress of each colour."""
    replica = Embedder(EmbedderConfig(), EmbedderArgs(max_batch=4), LocalHandle(index))  # type: ignore[arg-type]
    handle = EmbedderHandle(LocalHandle(replica))  # type: ignore[arg-type]
    embeddings = [await handle.embed_image(drawing(colour)) for colour in COLOURS]
    index.version = embeddings[0].version
    index.products = ProductIndex(empty_files(len(embeddings[0].vector)))
    for colour, embedding in zip(COLOURS, embeddings, strict=True):
        attributes = ProductAttributes("dress", None, 0, in_stock=True)
        index.products.put(colour, embedding.vector.astype(np.float16), attributes)
    return handle


@pytest.fixture(autouse=True)
def request_id() -> Iterator[str]:
    with serving("request-of-this-test"):
        yield current_request_id()


async def test_a_search_is_embedded_and_answered_in_one_call(
    embedder: EmbedderHandle, index: LocalIndex, request_id: str
) -> None:
    by_picture = await embedder.search(SearchQuery(3, picture=drawing("navy")))
    assert by_picture.hits[0][0] == "navy" and by_picture.text is None
    assert (by_picture.index_version, by_picture.embedder_version) == ("v1", index.version)
    by_words = await embedder.search(SearchQuery(3, words="navy dress"))
    embedding = await embedder.embed_text("navy dress")
    assert by_words.text is not None
    np.testing.assert_allclose(by_words.text, embedding.vector, atol=1e-5)
    vectors = SearchQuery(3, embedder_version=index.version, text=embedding.vector)
    both = await embedder.search(SearchQuery(3, picture=drawing("navy"), words="navy dress"))
    assert len(both.hits) == 3
    known_text = SearchQuery(
        3, embedder_version=index.version, text=embedding.vector, picture=drawing("navy")
    )
    assert (await embedder.search(known_text)).hits[0][0] == both.hits[0][0]
    assert by_words.hits[0][0] == index.products.search(vectors)[0][0]  # type: ignore[union-attr]
    assert set(index.request_ids) == {request_id}


async def test_what_is_wrong_with_a_query_is_its_own_error(embedder: EmbedderHandle) -> None:
    with pytest.raises(NotAnImage):
        await embedder.search(SearchQuery(3, picture=b"no picture"))
    vector = (await embedder.embed_text("a dress")).vector
    with pytest.raises(Unavailable, match="replaced"):
        await embedder.search(
            SearchQuery(3, embedder_version="another", text=vector, picture=drawing("red"))
        )


async def test_many_texts_are_embedded_as_each_alone(embedder: EmbedderHandle) -> None:
    texts = [f"{colour} dress {number}" for number in range(PORTION) for colour in COLOURS]
    embeddings = await embedder.embed_texts(texts)
    assert len(embeddings) == len(texts) > PORTION
    assert await embedder.embed_texts([]) == []
    for place in (0, PORTION, len(texts) - 1):
        alone = await embedder.embed_text(texts[place])
        assert alone.version == embeddings[place].version
        np.testing.assert_allclose(embeddings[place].vector, alone.vector, atol=1e-5)
