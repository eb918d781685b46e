"""Forms of searches: prices become exact bounds, and the log stores what was sent."""

from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from models.index.shapes import NO_FILTERS, Filters
from studio.search.filters import FiltersForm
from studio.search.forms import (
    HybridSearchForm,
    ImageSearchForm,
    SimilarSearchForm,
    TextSearchForm,
)


@pytest.mark.parametrize(
    ("prices", "bounds"),
    [
        ({"priceMin": "12.50", "priceMax": 13.5}, (125_000, 135_000)),
        ({"priceMin": "19.99", "priceMax": "19.99"}, (199_900, 199_900)),
        ({"priceMin": "0.00001", "priceMax": "0.00019"}, (1, 1)),  # inwards: never a price outside
        ({"priceMax": 1_000_000_000}, (None, 10_000_000_000_000)),
        ({"priceMin": 0}, (0, None)),
    ],
)
def test_price_bounds_are_whole_ten_thousandths(
    prices: dict[str, Any], bounds: tuple[int | None, int | None]
) -> None:
    filters = FiltersForm.model_validate(prices).to_filters()
    assert (filters.price_min_e4, filters.price_max_e4) == bounds


def test_filters_are_those_of_the_form() -> None:
    form = FiltersForm.model_validate({"category": "Dress", "brand": ["a", "b"], "inStock": False})
    assert form.to_filters() == Filters(
        category=frozenset({"Dress"}), brand=frozenset({"a", "b"}), in_stock=False
    )
    assert TextSearchForm.model_validate({"query": "red"}).to_filters() is NO_FILTERS


def test_the_log_stores_a_form_without_the_signature_of_its_url() -> None:
    file_id = uuid4()
    filters = {"category": ["b", "a", "a"], "priceMin": "12.50", "inStock": False}
    text = TextSearchForm.model_validate({"query": "red", "filters": filters})
    assert (text.type, text.to_params()) == ("text", {
        "top_k": 10, "alpha": 0.5, "query": "red",
        "filters": {"category": ["a", "b"], "price_min": 12.5, "in_stock": False},
    })  # fmt: skip
    image = ImageSearchForm.model_validate({"fileId": str(file_id), "topK": 3})
    assert (image.type, image.to_params()) == (
        "image", {"top_k": 3, "alpha": 0.5, "filters": {}, "file_id": str(file_id)},
    )  # fmt: skip
    url = "https://x.example/a.jpg"
    both = {"query": "red", "imageUrl": f"{url}?sig=secret", "alpha": 0.25}
    hybrid = HybridSearchForm.model_validate(both)
    assert (hybrid.type, hybrid.to_params()) == (
        "hybrid", {"top_k": 10, "alpha": 0.25, "filters": {}, "query": "red", "image_url": url},
    )  # fmt: skip
    similar = SimilarSearchForm.model_validate({"similarTo": "p1", "topK": 5})
    assert (similar.type, similar.to_params()) == (
        "similar", {"top_k": 5, "alpha": 0.5, "filters": {}, "similar_to": "p1"},
    )  # fmt: skip


def test_a_picture_has_exactly_one_name() -> None:
    for names in ({}, {"fileId": str(uuid4()), "imageUrl": "https://x.example/a.jpg"}):
        with pytest.raises(ValidationError, match="imageUrl or fileId"):
            ImageSearchForm.model_validate(names)
