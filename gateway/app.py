"""The FastAPI application: routes, layers and error handling put together, nothing decided."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from gateway.auth import AccessTokens
from gateway.body_limit import BodyLimit
from gateway.client_address import ClientAddress
from gateway.concurrency import Concurrency
from gateway.docs import OPENAPI_PATH, add_docs
from gateway.envelope import Envelope
from gateway.error_table import LastHandler, register_handlers
from gateway.limits import RateLimit, RateLimits
from gateway.problem import PROBLEM_RESPONSES
from gateway.routes import (
    admin,
    auth,
    blobs,
    catalog,
    files,
    health,
    index_versions,
    job_events,
    jobs,
    openid,
    payments,
    paypal,
    search,
)
from settings import PROJECT_ROOT
from studio.logs import configure_logging, flushing
from studio.ports import Studio

TITLE = "AI Fashion Studio"
# Matched one after the other: the busiest first.
ROUTERS = (
    search.router,
    blobs.router,
    catalog.router,
    auth.router,
    openid.router,
    files.router,
    jobs.router,
    job_events.router,
    paypal.router,
    admin.router,
    payments.router,
    index_versions.router,
    health.router,
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """What lives as long as the app; a router's own `lifespan` runs inside this one."""
    async with flushing(configure_logging()):
        try:
            yield
        finally:
            await app.state.limits.aclose()


def create_app(studio: Studio) -> FastAPI:
    """The whole HTTP side of one studio; whoever made the studio closes it."""
    app = FastAPI(
        title=TITLE,
        summary="Visual product search, uploads and catalogue of an open fashion backend.",
        version="0.1.0",
        openapi_url=OPENAPI_PATH,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # the redirect would believe the Host header
        responses=PROBLEM_RESPONSES,
        lifespan=lifespan,
    )
    app.state.studio = studio
    app.state.draining = asyncio.Event()  # whoever serves the app sets it when it is to end
    app.state.tokens = AccessTokens(studio.settings)
    app.state.limits = RateLimits(studio.settings)
    register_handlers(app)
    add_layers(app)
    for router in ROUTERS:
        app.include_router(router)
    add_docs(app)
    app.frontend("/", directory=PROJECT_ROOT / "web", fallback=None)
    return app


def add_layers(app: FastAPI) -> None:
    """Pure ASGI layers; the last one added is the outermost."""
    app.add_middleware(BodyLimit)
    app.add_middleware(Concurrency, settings=app.state.studio.settings)
    app.add_middleware(RateLimit, limits=app.state.limits, tokens=app.state.tokens)
    app.add_middleware(LastHandler)
    trusted = app.state.studio.settings.trusted_proxies
    app.add_middleware(Envelope, client_address=ClientAddress(trusted))
