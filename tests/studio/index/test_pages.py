"""Walks through pages: nothing is shown twice or left out, across writes, replicas and swaps."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from models.index import approximate
from models.index import check as index_check
from studio.ports import Studio
from tests.support.fakes import make_settings
from tests.support.live import open_live_studio
from tests.support.walks import walk_many


@pytest.fixture
async def studio(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Studio]:
    settings = make_settings(database_url, redis_url, tmp_path / "blobs")
    async with open_live_studio(settings, activate=False) as opened:
        yield opened


@pytest.mark.parametrize("is_large", [False, True], ids=["exhaustive", "codes"])
async def test_walks_show_everything_once(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, *, is_large: bool
) -> None:
    monkeypatch.setattr(index_check, "text_cutoff", lambda _: -1.0)  # every product is relevant
    if is_large:
        monkeypatch.setattr(approximate, "EXACT_ROWS", 200)
        monkeypatch.setattr(approximate, "LIST_ROWS", 300)
    assert await walk_many(studio, count=400, walks=12, swaps=4, seed=5) > 30
