"""A studio that rolls a second embedder out, over the real index and the real catalogue."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from db.model_rollouts import EMBEDDER
from settings import Settings
from studio.ports import Studio
from studio.rollout import watch
from studio.rollout.embedders import EmbedderPair
from studio.rollout.watch import RolloutWatch
from tests.support.fakes import make_settings
from tests.support.live import open_live_studio
from tests.support.migration import NextEmbedder


@pytest.fixture(autouse=True)
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request reads the rollouts, so that no test waits for a second to pass."""
    monkeypatch.setattr(watch, "FRESH_S", -1.0)
    monkeypatch.setattr(watch, "STALE_S", -1.0)


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return make_settings(database_url, redis_url, tmp_path / "blobs")


@pytest.fixture
def following() -> NextEmbedder:
    """The embedder that is rolled out."""
    return NextEmbedder("next-embedder")


@pytest.fixture
async def studio(settings: Settings, following: NextEmbedder) -> AsyncIterator[Studio]:
    async with open_live_studio(settings) as opened:
        following.index = opened.index
        pair = EmbedderPair(
            opened.embedder,
            following,
            RolloutWatch(opened.database, {EMBEDDER: following.version}),
        )
        yield replace(opened, embedder=pair)
