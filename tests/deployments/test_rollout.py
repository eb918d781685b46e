"""Embedders of two precisions with a real index: they are exchanged while callers search."""

import asyncio
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from db.model_rollouts import EMBEDDER
from errors import StudioError
from models.embedder.embedder import EmbedderConfig
from models.index.catalogue_values import CatalogueValues
from models.index.shapes import SearchAnswer
from settings import Settings
from studio.index.versions import activate_version
from studio.ports import Index, Studio
from studio.rollout.rollouts import finish, set_share
from studio.search.forms import SearchForm, SimilarSearchForm, TextSearchForm
from tests.support.fakes import make_settings
from tests.support.live import open_live_studio
from tests.support.migration import COLOURS, Shop, open_shop

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray Serve uses what pydantic deprecates
    from deployments.embedder import Embedder, EmbedderArgs
    from deployments.handles import EmbedderHandle, NextHandles, TracedQuery
    from deployments.rollout import with_next_models
    from tests.support.local_replicas import LocalHandle

CALLERS = 8
IN_PHASE = 40
"""Searches that each phase waits for."""


class LocalIndex:
    """The `Index` deployment over the index of a studio in this process."""

    def __init__(self, index: Index) -> None:
        self._index = index

    async def search(self, queries: list[TracedQuery]) -> list[SearchAnswer | StudioError]:
        answers: list[SearchAnswer | StudioError] = []
        for traced in queries:
            try:
                answers.append(await self._index.search(traced.query))
            except StudioError as error:
                answers.append(error)
        return answers

    async def status(self) -> Mapping[str, object]:
        return await self._index.status()

    async def complete(self, phrase: str, most: int) -> list[str]:
        return await self._index.complete(phrase, most)

    async def catalogue_values(self) -> CatalogueValues:
        return await self._index.catalogue_values()


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return make_settings(database_url, redis_url, tmp_path / "blobs")


@pytest.fixture
async def studio(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Studio]:
    """What a Gateway has where `STUDIO_EMBEDDER_NEXT_PRECISION` is bf16."""
    monkeypatch.setattr("studio.rollout.watch.FRESH_S", -1.0)
    monkeypatch.setattr("studio.rollout.watch.STALE_S", -1.0)
    async with open_live_studio(settings, activate=False) as opened:
        index: Any = LocalHandle(LocalIndex(opened.index))
        present, following = (
            LocalHandle(Embedder(EmbedderConfig(precision=precision), EmbedderArgs(), index))
            for precision in ("fp32", "bf16")
        )
        handle: Any = present
        handles: Any = NextHandles(embedder=following)  # type: ignore[arg-type]
        studio = replace(opened, embedder=EmbedderHandle(handle))
        yield with_next_models(studio, handles, None)


class Callers:
    """Searches by words and by a product, repeated until the end."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._answers: Counter[str] = Counter()
        self._number = 0
        self._tasks = [asyncio.create_task(self._search()) for _ in range(CALLERS)]

    def _form(self) -> SearchForm:
        self._number += 1
        colour = COLOURS[self._number % len(COLOURS)]
        if self._number % 2:
            return SimilarSearchForm.model_validate({"similarTo": colour})
        # All products have this word; the marks make texts that are not in the cache yet.
        return TextSearchForm(query="dress" + "!" * (self._number // 2 % 20))

    async def _search(self) -> None:
        while True:
            result = await self._shop.find(self._form())
            assert len(result.matches) >= len(COLOURS) - 1
            self._answers[result.index_version] += 1

    async def phase(self) -> set[str]:
        """The index versions that answer from now on; raises the error of a search that failed."""
        self._answers.clear()
        while self._answers.total() < IN_PHASE:
            done, _ = await asyncio.wait(self._tasks, timeout=0.01)
            for task in done:
                task.result()
        return set(self._answers)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


# Slow: fourteen phases of 40 searches that are embedded by the shipped network.
async def test_a_precision_is_exchanged_and_taken_back_while_callers_search(
    studio: Studio,
) -> None:
    shop = await open_shop(studio)
    former = await shop.rebuild()
    callers = Callers(shop)
    try:
        assert await callers.phase() == {former}
        fresh = await shop.rebuild(next=True)
        for share, versions in ((0.0, {former}), (1.0, {fresh}), (0.0, {former})):
            await set_share(studio.database, EMBEDDER, share)
            await callers.phase()  # those that were on their way
            assert await callers.phase() == versions
        await shop.put("new", "purple")
        for version in (fresh, former, fresh):
            await activate_version(studio, version)
            await callers.phase()
            assert await callers.phase() == {version}
            result = await shop.find(SimilarSearchForm.model_validate({"similarTo": "new"}))
            assert len(result.matches) == len(COLOURS)
        await finish(studio.database, EMBEDDER)
        assert await callers.phase() == {fresh}
    finally:
        await callers.stop()
