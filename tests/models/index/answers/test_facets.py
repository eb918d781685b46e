"""Price ranges and bounds on values."""

import numpy as np
import pytest

from models.index.answers.facets import MOST_RANGES, MOST_VALUES, count_facet, range_step
from models.index.answers.selection import AnswerSet
from models.index.files import empty_files
from models.index.product_index import ProductIndex
from models.index.shapes import ProductAttributes, SearchQuery, ValueFacet
from tests.models.index.answers.shop import DIM, unit


@pytest.mark.parametrize(
    ("low", "high", "step"),
    [(0, 0, 0.01), (10, 19.99, 1), (12.5, 80, 10), (0, 95, 10), (0, 100, 20), (5, 4999, 500),
     (1, 1_000_000_000, 200_000_000)],
)  # fmt: skip
def test_ranges_are_round_and_few(low: float, high: float, step: float) -> None:
    width = range_step(round(low * 10_000), round(high * 10_000))
    assert width == round(step * 10_000)
    assert high * 10_000 // width - low * 10_000 // width < MOST_RANGES


def test_the_largest_values_are_listed() -> None:
    index = ProductIndex(empty_files(DIM))
    random = np.random.default_rng(0)
    for place in range(3 * MOST_VALUES):
        facts = (("size", f"s{place:03}"), ("size", f"S{place // 3 + 500}"))
        one = ProductAttributes("x", None, 0, True, facts=facts)
        index.put(f"p{place:03}", unit(random), one)
    query = SearchQuery(1, image=np.ones(DIM, np.float32))
    facet = count_facet(
        "attributes.Size", AnswerSet(index.rows, query, None), index.rows.dictionaries
    )
    expected = [(f"S{number + 500}", 3) for number in range(MOST_VALUES)]
    assert facet == ValueFacet(tuple(expected))
