"""Opens a studio in this process: pools of its own, and handles of the running application."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ray.serve.handle import DeploymentHandle

from db.engine import Database
from deployments.handles import (
    DispatcherHandle,
    EmbedderHandle,
    Handle,
    HandleArgs,
    IndexHandle,
    RegressorHandle,
    SegmenterHandle,
    TryOnHandle,
)
from deployments.serve.connections import JOB_POOL
from integrations.blobs.store import open_blob_store
from integrations.cache import RedisCache
from integrations.fetch import Fetcher
from integrations.paypal.paypal import open_paypal
from settings import Settings, load_settings
from studio.ports import Studio

APPLICATION = "studio"
EXPORTER = "RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH"


def open_studio(
    settings: Settings,
    embedder: Handle,
    index: Handle,
    regressor: Handle,
    dispatcher: Handle,
    segmenter: Handle,
    tryon: Handle,
    args: HandleArgs | None = None,
    *,
    pool_size: int | None = None,
) -> Studio:
    """Pools and handles of one process."""
    cache = RedisCache(settings.required("redis_url"))
    connections = pool_size or settings.database_pool_size
    return Studio(
        settings=settings,
        database=Database(settings.required("database_url"), pool_size=connections),
        blobs=open_blob_store(settings),
        cache=cache,
        fetcher=Fetcher(allow=settings.fetch_allow),
        embedder=EmbedderHandle(embedder, args),
        index=IndexHandle(index, args),
        regressor=RegressorHandle(regressor),
        dispatcher=DispatcherHandle(dispatcher),
        segmenter=SegmenterHandle(segmenter),
        tryon=TryOnHandle(tryon),
        paypal=open_paypal(settings, cache),
    )


@asynccontextmanager
async def running_studio(
    settings: Settings, *, pool_size: int | None = None
) -> AsyncIterator[Studio]:
    """The running application's deployments, from another process of the same cluster.

    The handles are not those that Serve keeps: they end with the event loop they live in.
    """
    names = ("Embedder", "Index", "Regressor", "Dispatcher", "Segmenter", "TryOn")
    handles: list[Handle] = [DeploymentHandle(name, APPLICATION) for name in names]
    embedder, index, regressor, dispatcher, segmenter, tryon = handles
    studio = open_studio(
        settings, embedder, index, regressor, dispatcher, segmenter, tryon, pool_size=pool_size
    )
    try:
        yield studio
    finally:
        for handle in handles:
            await handle.shutdown_async()  # type: ignore[no-untyped-call]
        await close_studio(studio)


@asynccontextmanager
async def running_here() -> AsyncIterator[Studio]:
    """As `running_studio`, with the settings that this process of the cluster has inherited."""
    traced = os.environ.get(EXPORTER)
    if traced:
        from deployments.serve import tracing  # noqa: PLC0415 - only where spans are recorded

        tracing.trace_worker("run_job")
    try:
        async with running_studio(load_settings(), pool_size=JOB_POOL) as studio:
            yield studio
    finally:
        if traced:
            await asyncio.to_thread(tracing.send_spans)


async def close_studio(studio: Studio) -> None:
    """Gives every connection back."""
    await studio.fetcher.aclose()
    if studio.paypal is not None:
        await studio.paypal.aclose()
    await studio.database.aclose()
    await studio.cache.aclose()
    await studio.blobs.aclose()
