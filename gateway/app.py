"""The FastAPI application: routes, layers and error handling put together, nothing decided."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress

from fastapi import FastAPI

from gateway.arrivals import Arrivals
from gateway.auth import AccessTokens
from gateway.body_limit import BodyLimit
from gateway.client_address import ClientAddress
from gateway.concurrency import Concurrency
from gateway.docs import add_docs
from gateway.envelope import Envelope, Observe
from gateway.error_table import LastHandler, register_handlers
from gateway.limits import RateLimit, RateLimits
from gateway.problem import PROBLEM_RESPONSES
from gateway.routes import (
    account,
    admin,
    analytics,
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
    segmentation,
    tryon,
)
from integrations.shares import Shares
from settings import PROJECT_ROOT
from studio.accounts.accounts import OpenAccounts
from studio.background import Background
from studio.files.checks import FileChecks
from studio.ports import Studio
from studio.telemetry.health import HealthWatch
from studio.telemetry.latency import LatencyLog
from studio.telemetry.logs import configure_logging, flushing

TITLE = "AI Fashion Studio"
LATENCY_FLUSH_S = 1.0
# Matched one after the other: the busiest first.
ROUTERS = (
    search.router,
    blobs.router,
    catalog.router,
    analytics.router,
    auth.router,
    account.router,
    openid.router,
    files.router,
    segmentation.router,
    tryon.router,
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
    async with (
        flushing(configure_logging()),
        aclosing(app.state.background),
        sharing(app.state.latency, app.state.background),
        aclosing(app.state.file_checks),
    ):
        yield


@asynccontextmanager
async def sharing(latency: LatencyLog, background: Background) -> AsyncIterator[None]:
    """While the block runs, what this replica measures is soon seen by all of them."""
    ended = asyncio.Event()

    async def flush_often() -> None:
        while not ended.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), LATENCY_FLUSH_S)
            await latency.flush()

    task = asyncio.create_task(flush_often(), name="latency")
    background.watch("latency", lambda: not task.done())
    try:
        yield
    finally:
        ended.set()  # not cancelled: half an exchange would leave its connection open
        await task


def create_app(studio: Studio, observers: Sequence[Observe] = ()) -> FastAPI:
    """The whole HTTP side of one studio; whoever made the studio closes it.

    `observers` are told of every answer, beside the studio's own count of latencies.
    """
    app = FastAPI(
        title=TITLE,
        summary="Visual search, try-on, sales scores and payments of an open fashion backend.",
        version="0.1.0",
        openapi_url=None,  # `gateway.docs` has it
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # the redirect would believe the Host header
        responses=PROBLEM_RESPONSES,
        lifespan=lifespan,
        telemetry={"tracing": False},  # Ray Serve has begun the trace; FastAPI's would be another
    )
    app.state.studio = studio
    app.state.draining = asyncio.Event()  # whoever serves the app sets it when it is to end
    app.state.imports = Shares(places=8, per_owner=2)
    app.state.evaluations = Shares(places=4, per_owner=2, waiting=32, waiting_per_owner=8)
    app.state.turns = Shares(places=4, per_owner=1, waiting=64, waiting_per_owner=8)
    app.state.presigns = Shares(places=4, per_owner=1, waiting=1024, waiting_per_owner=128)
    app.state.background = Background()
    app.state.tokens = AccessTokens(studio.settings)
    app.state.limits = RateLimits(studio)
    app.state.accounts = OpenAccounts(studio.database)
    app.state.health = HealthWatch(studio)
    app.state.file_checks = FileChecks()
    app.state.uploads = Arrivals()
    app.state.latency = LatencyLog(studio.cache)
    register_handlers(app)
    add_layers(app, [app.state.latency.note, *observers])
    for router in ROUTERS:
        app.include_router(router)
    add_docs(app)
    app.frontend("/", directory=PROJECT_ROOT / "web", fallback=None)
    return app


def add_layers(app: FastAPI, observers: Sequence[Observe]) -> None:
    """Pure ASGI layers; the last one added is the outermost."""
    app.add_middleware(Concurrency, settings=app.state.studio.settings)
    app.add_middleware(BodyLimit)  # a body that is still arriving takes no place
    app.add_middleware(RateLimit, limits=app.state.limits, tokens=app.state.tokens)
    app.add_middleware(LastHandler)
    settings = app.state.studio.settings
    app.add_middleware(
        Envelope,
        client_address=ClientAddress(settings.trusted_proxies),
        observers=observers,
        has_tls=settings.has_tls,
    )
