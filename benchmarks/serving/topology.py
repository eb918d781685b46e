"""Pieces of the compared topologies: the studio's parts around other ports, and the live index."""

import asyncio
import io
import statistics
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Executor
from contextlib import asynccontextmanager, suppress
from typing import Any

from db.engine import Database
from deployments.profile import embedder_config
from drawing.draw import Garment, draw_garment
from integrations.blobs.store import open_blob_store
from integrations.cache import RedisCache
from integrations.fetch import Fetcher
from models.embedder.embedder import load
from settings import Settings, load_settings
from studio.index.files import cache_folder
from studio.index.live import LiveIndex
from studio.ports import Index, Studio


def make_parts(settings: Settings, embedder: Any, index: Index) -> Studio:
    """Pools of this process, as the Gateway deployment opens them, around these ports.

    embedder: as much of `studio.ports.Embedder` as searches need.
    """
    return Studio(
        settings=settings,
        database=Database(settings.required("database_url"), pool_size=settings.database_pool_size),
        blobs=open_blob_store(settings),
        cache=RedisCache(settings.required("redis_url")),
        fetcher=Fetcher(allow=settings.fetch_allow),
        embedder=embedder,
        index=index,
        dispatcher=NoDispatcher(),
    )


class NoDispatcher:
    """Searches need none."""

    async def status(self) -> Mapping[str, object]:
        return {}


@asynccontextmanager
async def live_index(settings: Settings, thread: Executor) -> AsyncIterator[LiveIndex]:
    """The active version, following the catalogue as the Index deployment does."""
    database = Database(settings.required("database_url"), pool_size=1)
    live = LiveIndex(database, open_blob_store(settings), thread, cache_folder(settings))
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


def model_ms(repeats: int = 60) -> float:
    """A lone picture of 640 px decoded and embedded in this process: median, in ms.

    The index adds some 0.1 ms at 648 products, which is left to the framework's share.
    """
    model = load(embedder_config(load_settings()))
    model.warm_up()
    buffer = io.BytesIO()
    draw_garment(Garment("dress", "red"), size=640).save(buffer, "JPEG", quality=88)
    times_ms = []
    for _ in range(repeats):
        started_s = time.perf_counter()
        model.embed_images([model.reader.read(buffer.getvalue())])
        times_ms.append((time.perf_counter() - started_s) * 1000)
    return statistics.median(times_ms)
