"""`Gateway`: the HTTP ingress; holds the pools and the handles, and no route of its own."""

from fastapi import FastAPI
from ray import serve

from deployments.handles import Handle, HandleArgs
from deployments.serve.listening import listen_privately, on_drain, reuse_address
from deployments.serve.log_files import log_to_worker_files
from deployments.serve.metrics import RequestMetrics
from deployments.serve.opening import open_studio
from deployments.serve.patience import lose_patience
from gateway.app import create_app
from settings import Settings
from studio.background import Background


@serve.ingress()
class Gateway:
    """The late-bound form of an ingress: the app is built in the replica, nothing is pickled."""

    def __init__(
        self,
        settings: Settings,
        args: HandleArgs,
        embedder: Handle,
        index: Handle,
        regressor: Handle,
        dispatcher: Handle,
        segmenter: Handle,
        tryon: Handle,
    ) -> None:
        listen_privately()
        log_to_worker_files()
        reuse_address()
        lose_patience()
        self._settings = settings
        self._args = args
        self._embedder = embedder
        self._index = index
        self._regressor = regressor
        self._dispatcher = dispatcher
        self._segmenter = segmenter
        self._tryon = tryon
        self._background: Background | None = None

    async def check_health(self) -> None:
        """Raises where a background task of the app has ended."""
        if self._background is not None:
            self._background.check()

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Serve once the replica's event loop runs."""
        studio = open_studio(
            self._settings,
            self._embedder,
            self._index,
            self._regressor,
            self._dispatcher,
            self._segmenter,
            self._tryon,
            self._args,
        )
        app = create_app(studio, [RequestMetrics().observe])
        self._background = app.state.resources.background
        on_drain(app.state.resources.draining.set)
        return app
