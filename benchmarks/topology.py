"""Pieces of the compared topologies: the studio's parts around other ports, and the live index."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager, suppress

from db.engine import Database
from integrations.blob import open_blob_store
from integrations.cache import RedisCache
from integrations.fetch import Fetcher
from settings import Settings
from studio.live_index import LiveIndex
from studio.ports import Embedder, Index, Studio


@asynccontextmanager
async def open_parts(settings: Settings, embedder: Embedder, index: Index) -> AsyncIterator[Studio]:
    """Pools of this process, as the Gateway deployment opens them, around these ports."""
    studio = Studio(
        settings=settings,
        database=Database(settings.required("database_url"), pool_size=settings.database_pool_size),
        blobs=open_blob_store(settings),
        cache=RedisCache(settings.required("redis_url")),
        fetcher=Fetcher(allow=settings.fetch_allow),
        embedder=embedder,
        index=index,
    )
    try:
        yield studio
    finally:
        await studio.database.aclose()
        await studio.cache.aclose()
        await studio.blobs.aclose()


@asynccontextmanager
async def live_index(settings: Settings, thread: Executor) -> AsyncIterator[LiveIndex]:
    """The active version, following the catalogue as the Index deployment does."""
    database = Database(settings.required("database_url"), pool_size=1)
    live = LiveIndex(database, open_blob_store(settings), thread)
    await live.sync()

    async def follow() -> None:
        while True:
            await live.sync()
            await asyncio.sleep(0.2)

    following = asyncio.create_task(follow())
    try:
        yield live
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        await database.aclose()
