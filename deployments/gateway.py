"""`Gateway`: the HTTP ingress; it runs `gateway.app` and has no route of its own."""

from fastapi import FastAPI
from ray import serve

from deployments.handles import Handles
from deployments.serve.calls import HandleArgs
from deployments.serve.head_limits import limiting_heads
from deployments.serve.metrics import RequestMetrics
from deployments.serve.patches import call_when_draining, prepare_ingress
from deployments.serve.replica import Replica
from deployments.serve.studio import open_studio
from gateway.app import create_app
from settings import load_settings
from studio.background import Background


@serve.ingress()
class Gateway(Replica):
    """The late-bound form of an ingress: the app is built in the replica instead of pickled."""

    def __init__(self, args: HandleArgs, handles: Handles) -> None:
        prepare_ingress(limiting_heads(load_settings().cors_origins))
        self._args = args
        self._handles = handles
        self._background: Background | None = None

    async def check_health(self) -> None:
        """Raises where a background task of the app has ended."""
        if self._background is not None:
            self._background.check()

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Opens the studio and builds the app; Serve calls this in the replica's event loop."""
        studio = open_studio(load_settings(), self._handles, self._args)
        app = create_app(studio, [RequestMetrics().observe])
        self._background = app.state.resources.background
        call_when_draining(app.state.resources.draining.set)
        return app
