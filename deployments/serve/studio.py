"""Opens a studio in this process: its own connection pools, and handles of the deployments."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from db.engine import Database
from deployments.handles import (
    DispatcherHandle,
    EmbedderHandle,
    Handles,
    IndexHandle,
    RegressorHandle,
    SegmenterHandle,
    TryOnHandle,
)
from deployments.rollout import with_next_models
from deployments.serve.calls import HandleArgs
from deployments.serve.connections import JOB_POOL
from integrations.blobs.store import open_blob_store
from integrations.cache import RedisCache
from integrations.fetch import Fetcher
from integrations.paypal.paypal import open_paypal
from settings import Settings, load_settings
from studio.context import committing
from studio.ports import Studio

APPLICATION = "studio"
EXPORTER = "RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH"


def open_studio(
    settings: Settings,
    handles: Handles,
    args: HandleArgs | None = None,
    *,
    pool_size: int | None = None,
) -> Studio:
    """A studio that calls these deployments; `Studio.aclose` closes its pools."""
    cache = RedisCache(settings.secret("redis_url"))
    connections = pool_size or settings.database_pool_size
    studio = Studio(
        settings=settings,
        database=Database(
            settings.secret("database_url"), pool_size=connections, committing=committing
        ),
        blobs=open_blob_store(settings),
        cache=cache,
        fetcher=Fetcher(allow=settings.fetch_allow),
        embedder=EmbedderHandle(handles.embedder, args),
        index=IndexHandle(handles.index, args),
        regressor=RegressorHandle(handles.regressor),
        dispatcher=DispatcherHandle(handles.dispatcher),
        segmenter=SegmenterHandle(handles.segmenter),
        tryon=TryOnHandle(handles.tryon),
        paypal=open_paypal(settings, cache),
    )
    return with_next_models(studio, handles.next, args)


@asynccontextmanager
async def running_studio(
    settings: Settings, *, pool_size: int | None = None
) -> AsyncIterator[Studio]:
    """A studio around the running application, from another process of the same cluster.

    Serve does not keep these handles: they are shut down before their event loop ends.
    """
    handles = Handles.of_application(APPLICATION, settings)
    studio = open_studio(settings, handles, pool_size=pool_size)
    try:
        yield studio
    finally:
        await handles.shut_down()
        await studio.aclose()


@asynccontextmanager
async def job_studio() -> AsyncIterator[Studio]:
    """`running_studio` for a job's worker: with the settings of the environment, and tracing."""
    is_traced = bool(os.environ.get(EXPORTER))
    if is_traced:
        from deployments.serve import patches, tracing  # noqa: PLC0415 - only to record spans

        patches.trace_process("run_job")
    try:
        async with running_studio(load_settings(), pool_size=JOB_POOL) as studio:
            yield studio
    finally:
        if is_traced:
            await asyncio.to_thread(tracing.send_spans)
