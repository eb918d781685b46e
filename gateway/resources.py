"""The objects that one app owns: they are created with the app and closed by its lifespan."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import cast

from starlette.requests import HTTPConnection

from gateway.arrivals import Arrivals
from gateway.auth import AccessTokens, Credentials
from gateway.limits import RateLimits
from integrations.fair_semaphore import FairSemaphore
from integrations.openid import OpenIdProvider
from settings import Settings
from studio.accounts.accounts import OpenAccounts
from studio.accounts.keys import ApiKeys
from studio.background import Background
from studio.files.checks import FileChecks
from studio.jobs.watch import JobWatch
from studio.payments.inbox import WebhookInbox
from studio.ports import Studio
from studio.search.knowledge import SearchKnowledge
from studio.search.log import SearchLogWriter
from studio.telemetry.health import HealthWatch
from studio.telemetry.latency import LatencyLog
from studio.telemetry.logs import configure_logging, flushing

LATENCY_FLUSH_S = 1.0
OPENID_CALLBACK = "/api/auth/oidc/callback"


@dataclass(frozen=True)
class Places:
    """The limits of concurrent requests of one kind in this Gateway; more are refused."""

    imports: FairSemaphore = field(default_factory=lambda: FairSemaphore(places=8, per_owner=2))
    evaluations: FairSemaphore = field(
        default_factory=lambda: FairSemaphore(
            places=4, per_owner=2, waiting=32, waiting_per_owner=8
        )
    )
    deletions: FairSemaphore = field(
        default_factory=lambda: FairSemaphore(
            places=4, per_owner=1, waiting=64, waiting_per_owner=8
        )
    )
    presigns: FairSemaphore = field(
        default_factory=lambda: FairSemaphore(
            places=4, per_owner=1, waiting=1024, waiting_per_owner=128
        )
    )


@dataclass(frozen=True)
class Resources:
    """The objects of one app. Routes get them from the dependencies in `gateway.deps`.

    Attributes:
        draining: set by the server when the process is to end.
        openid: None where no provider is configured.
        webhooks: None where PayPal is not configured.
    """

    studio: Studio
    draining: asyncio.Event
    background: Background
    places: Places
    tokens: AccessTokens
    credentials: Credentials
    limits: RateLimits
    accounts: OpenAccounts
    health: HealthWatch
    latency: LatencyLog
    file_checks: FileChecks
    arrivals: Arrivals
    search_log: SearchLogWriter
    search_knowledge: SearchKnowledge
    job_watch: JobWatch
    openid: OpenIdProvider | None
    webhooks: WebhookInbox | None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Starts the background tasks; at the end stops them and completes their pending work."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(flushing(configure_logging()))
            await stack.enter_async_context(aclosing(self.background))
            await stack.enter_async_context(flushing_latency(self.latency, self.background))
            await stack.enter_async_context(aclosing(self.file_checks))
            self.background.watch("search-log", lambda: self.search_log.is_alive)
            await stack.enter_async_context(aclosing(self.search_log))
            await stack.enter_async_context(aclosing(self.search_knowledge))
            if self.openid is not None:
                await stack.enter_async_context(aclosing(self.openid))
            self.background.start("job-watch", self.job_watch.run)
            await stack.enter_async_context(aclosing(self.job_watch))
            if self.webhooks is not None:
                stack.push_async_callback(self.webhooks.settled)
            yield


def open_resources(studio: Studio) -> Resources:
    """Creates the objects; nothing runs before `Resources.running`."""
    draining = asyncio.Event()
    tokens = AccessTokens(studio.settings)
    return Resources(
        studio=studio,
        draining=draining,
        background=Background(),
        places=Places(),
        tokens=tokens,
        credentials=Credentials(tokens, ApiKeys(studio.database)),
        limits=RateLimits(studio),
        accounts=OpenAccounts(studio.database),
        health=HealthWatch(studio),
        latency=LatencyLog(studio.cache),
        file_checks=FileChecks(),
        arrivals=Arrivals(),
        search_log=SearchLogWriter(studio.database),
        search_knowledge=SearchKnowledge(studio),
        job_watch=JobWatch(studio.database, until=draining),
        openid=open_provider(studio.settings),
        webhooks=None if studio.paypal is None else WebhookInbox(studio.database, studio.paypal),
    )


def open_provider(settings: Settings) -> OpenIdProvider | None:
    """The OpenID provider of the settings; None where none is configured."""
    if settings.oidc_issuer is None:
        return None
    return OpenIdProvider(
        issuer=settings.oidc_issuer,
        client_id=settings.required("oidc_client_id"),
        client_secret=settings.secret("oidc_client_secret"),
        redirect_uri=f"{settings.base_url}{OPENID_CALLBACK}",
    )


@asynccontextmanager
async def flushing_latency(latency: LatencyLog, background: Background) -> AsyncIterator[None]:
    """Writes the latencies of this replica to the cache every second while the block runs."""
    has_ended = asyncio.Event()

    async def flush_often() -> None:
        while not has_ended.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(LATENCY_FLUSH_S):
                    await has_ended.wait()
            await latency.flush()

    task = asyncio.create_task(flush_often(), name="latency")
    background.watch("latency", lambda: not task.done())
    try:
        yield
    finally:
        has_ended.set()  # not cancelled: an interrupted exchange would leave its connection open
        await task


def resources_of(connection: HTTPConnection) -> Resources:
    """The resources of the app that serves this connection."""
    return cast(Resources, connection.app.state.resources)
