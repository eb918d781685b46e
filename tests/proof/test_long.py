"""`make proof`: the random tests at length; each prints the seed that repeats it."""

import secrets
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from errors import StudioError
from models.images import decode_image, inspect_image
from models.index.files import empty_files
from models.index.product_index import ProductIndex
from models.index.shapes import Filters, ProductAttributes, SearchQuery
from tests.models.index.test_product_index import DIM, brute_force, catalogue, unit, written
from tests.models.test_images import encoded, gradient

pytestmark = pytest.mark.proof


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A fresh seed, printed, so that a failing run can be repeated."""
    value = secrets.randbits(32)
    print(f"\n{request.node.name}: seed {value}")  # noqa: T201
    return value


def test_forty_thousand_damaged_pictures_raise_nothing_unexpected(seed: int) -> None:
    random = np.random.default_rng(seed)
    kinds = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
    good = {kind: encoded(gradient(), kind) for kind in kinds}
    for turn in range(40_000):
        data = bytearray(good[kinds[turn % len(kinds)]])
        for place in random.integers(0, len(data), int(random.integers(1, 12))):
            data[place] = int(random.integers(256))
        cut = bytes(data[: int(random.integers(1, len(data) + 1))])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for read in (inspect_image, decode_image):
                with suppress(StudioError):
                    read(cut if turn % 3 == 0 else bytes(data))


def test_ten_thousand_random_changes_and_searches_equal_brute_force(
    seed: int, tmp_path: Path
) -> None:
    random = np.random.default_rng(seed)
    products = catalogue(300, int(random.integers(1000)), copies=3)
    index = ProductIndex(empty_files(DIM))
    for product_id, (vector, attributes) in products.items():
        index.put(product_id, vector, attributes)
    for turn in range(10_000):
        product_id = f"p{int(random.integers(600)):05}"
        deed = random.integers(4)
        if deed == 0:
            index.remove(product_id)
            products.pop(product_id, None)
        elif deed == 1:
            attributes = ProductAttributes(
                "dress", None, int(random.integers(10**6)), bool(random.integers(2))
            )
            vector = unit(random)
            index.put(product_id, vector, attributes)
            products[product_id] = (vector, attributes)
        else:
            query = unit(random).astype(np.float32)
            bound_e4 = int(random.integers(100)) * 10_000
            filters = Filters(price_max_e4=bound_e4) if deed == 2 else Filters(in_stock=True)
            k = int(random.integers(1, 60))
            hits = index.search(SearchQuery(k, image=query, filters=filters))
            ids = [product_id for product_id, _ in hits]
            assert ids == brute_force(products, query, k, filters), turn
        if turn % 2500 == 0:
            again = ProductIndex(written(products, tmp_path / str(turn)))
            search = SearchQuery(50, image=unit(random).astype(np.float32))
            assert again.search(search) == index.search(search)
