"""A studio with the real index over the real catalogue; only the model is small."""

from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace

from models.index.catalogue_values import CatalogueValues
from models.index.shapes import SearchAnswer, SearchQuery
from settings import Settings
from studio.index.build import build_version
from studio.index.files import cache_folder
from studio.index.live import LiveIndex
from studio.index.versions import activate_version
from studio.ports import Studio
from tests.support.fakes import FakeEmbedder, open_studio


class SyncedIndex:
    """`studio.ports.Index` over a `LiveIndex` that reads the catalogue before every search."""

    def __init__(self, live: LiveIndex) -> None:
        self.live = live

    async def search(self, query: SearchQuery) -> SearchAnswer:
        await self.live.sync()
        return await self.live.search(query)

    async def complete(self, phrase: str, most: int) -> list[str]:
        await self.live.sync()
        return await self.live.complete(phrase, most)

    async def catalogue_values(self) -> CatalogueValues:
        await self.live.sync()
        return await self.live.catalogue_values()

    async def status(self) -> Mapping[str, object]:
        await self.live.sync()
        return self.live.status()


@asynccontextmanager
async def open_live_studio(settings: Settings, *, activate: bool = True) -> AsyncIterator[Studio]:
    """`activate`: with an empty active version."""
    with ThreadPoolExecutor(1) as thread:
        async with open_studio(settings) as opened:
            live = LiveIndex(opened.database, opened.blobs, thread, cache_folder(settings))
            synced = SyncedIndex(live)
            studio = replace(opened, index=synced, embedder=FakeEmbedder(index=synced))
            if activate:
                await activate_version(studio, await build_version(studio))
            yield studio
