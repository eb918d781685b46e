"""What a Gateway knows of the catalogue: read behind the requests, and kept while it can't be."""

import numpy as np

from errors import Unavailable
from models.index.catalogue_values import CatalogueValues
from models.index.shapes import ProductAttributes
from studio.ports import Studio
from studio.search.forms import HybridSearchForm, SearchForm, TextSearchForm
from studio.search.knowledge import SearchKnowledge
from tests.support.fakes import DIM, FakeIndex

FORM = TextSearchForm.model_validate({"query": "dress under 50"})
VECTOR = np.eye(1, DIM, dtype=np.float32)[0]


async def text_of(knowledge: SearchKnowledge, form: SearchForm = FORM) -> str | None:
    understood = await knowledge.understand(form)
    return None if understood is None else understood.text


async def test_words_are_understood_by_the_catalogue_of_the_index(studio: Studio) -> None:
    assert isinstance(studio.index, FakeIndex)
    studio.index.put("a", VECTOR, ProductAttributes("dress", "Under", 10, in_stock=True))
    knowledge = SearchKnowledge(studio)
    understood = await knowledge.understand(FORM)
    assert understood is not None and understood.filters.category == {"dress"}
    off = TextSearchForm.model_validate({"query": "dress", "understand": False})
    assert await text_of(knowledge, off) is None
    fields = {"query": "dress", "imageUrl": "https://example.com/a.jpg", "alpha": 1}
    assert await text_of(knowledge, HybridSearchForm.model_validate(fields)) is None
    await knowledge.aclose()


async def test_without_an_index_prices_are_understood_all_the_same(studio: Studio) -> None:
    assert isinstance(studio.index, FakeIndex)

    async def fail() -> CatalogueValues:
        raise Unavailable("no search index is active")

    studio.index.catalogue_values = fail  # type: ignore[method-assign]
    knowledge = SearchKnowledge(studio)
    assert await text_of(knowledge) == "dress"
    await knowledge.aclose()


async def test_settings_are_read_from_the_database(studio: Studio) -> None:
    knowledge = SearchKnowledge(studio)
    settings = await knowledge.settings()
    assert settings.rules == () and settings.synonyms_for("dress") == ()
    await knowledge.aclose()
