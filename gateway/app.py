"""Builds the FastAPI application from its routes, layers and error handlers."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI

from gateway.body_limit import BodyLimit
from gateway.client_address import ClientAddress
from gateway.concurrency import Concurrency
from gateway.cors import Cors
from gateway.deadline import DeadlineLayer
from gateway.docs import add_docs
from gateway.envelope import CheckAddress, Envelope, Observe
from gateway.error_answers import register_handlers
from gateway.last_handler import LastHandler
from gateway.limits import RateLimit
from gateway.openapi import operation_id
from gateway.resources import Resources, open_resources
from gateway.routes import (
    account,
    admin,
    analytics,
    api_keys,
    auth,
    blobs,
    catalog,
    files,
    health,
    index_versions,
    openid,
    payments,
    paypal,
    search,
    search_settings,
    segmentation,
    sessions,
    suggest,
    tryon,
)
from gateway.routes.jobs import events as job_events
from gateway.routes.jobs import jobs
from settings import PROJECT_ROOT
from studio.ports import Studio

TITLE = "AI Fashion Studio"
# Starlette tries them in this order, so the busiest come first.
ROUTERS = (
    search.router,
    suggest.router,
    blobs.router,
    catalog.router,
    analytics.router,
    auth.router,
    account.router,
    api_keys.router,
    sessions.router,
    openid.router,
    files.router,
    segmentation.router,
    tryon.router,
    jobs.router,
    job_events.router,
    paypal.router,
    admin.router,
    search_settings.router,
    payments.router,
    index_versions.router,
    health.router,
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Runs the background tasks of the app's resources."""
    resources: Resources = app.state.resources
    async with resources.running():
        yield


def create_app(studio: Studio, observers: Sequence[Observe] = ()) -> FastAPI:
    """Builds the HTTP side of a studio; the caller closes the studio.

    `observers` are called for every answer, after the studio's own record of latencies.
    """
    app = FastAPI(
        title=TITLE,
        summary="Visual search, try-on, sales scores and payments of an open fashion backend.",
        version="0.1.0",
        openapi_url=None,  # `gateway.docs` serves the document
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # the redirect would trust the Host header
        generate_unique_id_function=operation_id,
        lifespan=lifespan,
        telemetry={"tracing": False},  # Ray Serve starts the trace
    )
    app.state.resources = open_resources(studio)
    register_handlers(app)
    add_layers(app, [app.state.resources.latency.note, *observers])
    for router in ROUTERS:
        app.include_router(router)
    add_docs(app)
    app.frontend("/", directory=PROJECT_ROOT / "web", fallback=None)
    return app


def add_layers(app: FastAPI, observers: Sequence[Observe]) -> None:
    """Adds the ASGI layers; the last one added is the outermost."""
    resources: Resources = app.state.resources
    settings = resources.studio.settings
    app.add_middleware(Concurrency, settings=settings)
    app.add_middleware(BodyLimit)  # outside Concurrency: an arriving body takes no place
    app.add_middleware(RateLimit, limits=resources.limits, credentials=resources.credentials)
    app.add_middleware(DeadlineLayer)
    app.add_middleware(CheckAddress)
    app.add_middleware(LastHandler)
    if settings.cors_origins:
        app.add_middleware(Cors, origins=settings.cors_origins)
    app.add_middleware(
        Envelope,
        client_address=ClientAddress(settings.trusted_proxies),
        observers=observers,
        has_tls=settings.has_tls,
    )
