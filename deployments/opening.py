"""Opens a studio in this process: pools of its own, and handles of the running application."""

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
)
from integrations.blob import open_blob_store
from integrations.cache import RedisCache
from integrations.fetch import Fetcher
from integrations.paypal import open_paypal
from settings import Settings, load_settings
from studio.ports import Studio

APPLICATION = "studio"


def open_studio(
    settings: Settings,
    embedder: Handle,
    index: Handle,
    dispatcher: Handle,
    args: HandleArgs | None = None,
) -> Studio:
    """Pools and handles of one process."""
    cache = RedisCache(settings.required("redis_url"))
    return Studio(
        settings=settings,
        database=Database(settings.required("database_url"), pool_size=settings.database_pool_size),
        blobs=open_blob_store(settings),
        cache=cache,
        fetcher=Fetcher(allow=settings.fetch_allow),
        embedder=EmbedderHandle(embedder, args),
        index=IndexHandle(index, args),
        dispatcher=DispatcherHandle(dispatcher),
        paypal=open_paypal(settings, cache),
    )


@asynccontextmanager
async def running_studio(settings: Settings) -> AsyncIterator[Studio]:
    """The running application's deployments, from another process of the same cluster.

    The handles are not those that Serve keeps: they end with the event loop they live in.
    """
    names = ("Embedder", "Index", "Dispatcher")
    handles: list[Handle] = [DeploymentHandle(name, APPLICATION) for name in names]
    embedder, index, dispatcher = handles
    studio = open_studio(settings, embedder, index, dispatcher)
    try:
        yield studio
    finally:
        for handle in handles:
            await handle.shutdown_async()  # type: ignore[no-untyped-call]
        await close_studio(studio)


@asynccontextmanager
async def running_here() -> AsyncIterator[Studio]:
    """As `running_studio`, with the settings that this process of the cluster has inherited."""
    async with running_studio(load_settings()) as studio:
        yield studio


async def close_studio(studio: Studio) -> None:
    """Gives every connection back."""
    await studio.fetcher.aclose()
    if studio.paypal is not None:
        await studio.paypal.aclose()
    await studio.database.aclose()
    await studio.cache.aclose()
    await studio.blobs.aclose()
