"""`Gateway`: the HTTP ingress; holds the pools and the handles, and no route of its own."""

from fastapi import FastAPI
from ray import serve

from db.engine import Database
from deployments.handles import EmbedderHandle, Handle, HandleArgs, IndexHandle
from deployments.listening import listen_privately, reuse_address
from gateway.app import create_app
from integrations.blob import open_blob_store
from integrations.cache import RedisCache
from integrations.fetch import Fetcher
from settings import Settings
from studio.ports import Studio


@serve.ingress()
class Gateway:
    """The late-bound form of an ingress: the app is built in the replica, nothing is pickled."""

    def __init__(
        self, settings: Settings, args: HandleArgs, embedder: Handle, index: Handle
    ) -> None:
        listen_privately()
        reuse_address()
        self._settings = settings
        self._args = args
        self._embedder = embedder
        self._index = index

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Serve once the replica's event loop runs."""
        return create_app(open_studio(self._settings, self._embedder, self._index, self._args))


def open_studio(
    settings: Settings, embedder: Handle, index: Handle, args: HandleArgs | None = None
) -> Studio:
    """Pools and handles of one process."""
    return Studio(
        settings=settings,
        database=Database(settings.required("database_url"), pool_size=settings.database_pool_size),
        blobs=open_blob_store(settings),
        cache=RedisCache(settings.required("redis_url")),
        fetcher=Fetcher(allow=settings.fetch_allow),
        embedder=EmbedderHandle(embedder, args),
        index=IndexHandle(index, args),
    )
