"""`make proof`: answers of searches and walks through their pages, in the issue's numbers."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from models.index import approximate
from models.index import check as index_check
from models.index.answers.answer import answer_many
from studio.ports import Studio
from tests.support.array_shop import ArrayShop, check
from tests.support.fakes import make_settings
from tests.support.live import open_live_studio
from tests.support.walks import walk_many

pytestmark = pytest.mark.proof
PRODUCTS, REQUESTS, SWAPS = 100_000, 10_000, 5
WALKS, WALKED_PRODUCTS = 1000, 2000


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A fresh seed, printed, so that a failing run can be repeated."""
    value = secrets.randbits(32)
    print(f"\n{request.node.name}: seed {value}")  # noqa: T201
    return value


def test_ten_thousand_answers_at_a_hundred_thousand_products_equal_brute_force(
    seed: int, tmp_path: Path
) -> None:
    shop = ArrayShop(PRODUCTS, np.random.default_rng(seed))
    for version in range(SWAPS):
        index = shop.write(tmp_path / f"{version}")
        assert index.list_count > 1
        for number in range(REQUESTS // SWAPS):
            if number % 5 == 0:
                shop.change(index, 10)
            query = shop.draw_query()
            (answer,) = answer_many(index, [query])
            check(shop, index, query, answer)


@pytest.fixture
async def studio(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Studio]:
    settings = make_settings(database_url, redis_url, tmp_path / "blobs")
    async with open_live_studio(settings, activate=False) as opened:
        yield opened


@pytest.mark.parametrize("is_large", [False, True], ids=["exhaustive", "codes"])
async def test_a_thousand_walks_neither_repeat_nor_skip(
    seed: int, studio: Studio, monkeypatch: pytest.MonkeyPatch, *, is_large: bool
) -> None:
    monkeypatch.setattr(index_check, "text_cutoff", lambda _: -1.0)  # every product is relevant
    if is_large:
        monkeypatch.setattr(approximate, "EXACT_ROWS", WALKED_PRODUCTS // 2)
        monkeypatch.setattr(approximate, "LIST_ROWS", WALKED_PRODUCTS // 2)
    pages = await walk_many(
        studio, count=WALKED_PRODUCTS, walks=WALKS // 2, swaps=WALKS // 20, seed=seed
    )
    print(f"{WALKS // 2} walks, {pages} pages, {WALKS // 20} swaps")  # noqa: T201
