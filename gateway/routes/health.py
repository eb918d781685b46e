"""Routes of the studio's health."""

from fastapi import APIRouter, Response

from errors import NotFound, Unavailable
from gateway.deps import DrainingDep, HealthDep, Public
from gateway.wire import WireResponse
from studio.telemetry.health import SERVICES

router = APIRouter(prefix="/api/health", tags=["health"], dependencies=[Public])


class ServiceResponse(WireResponse):
    """The health of one part of the studio."""

    status: str
    latency_ms: float
    detail: str | None = None


class HealthResponse(WireResponse):
    """The health of all parts of the studio."""

    status: str
    services: dict[str, ServiceResponse]


class LiveResponse(WireResponse):
    """The answer of a process that runs."""

    status: str = "ok"


class ReadyResponse(WireResponse):
    """The answer of a replica that can answer searches."""

    status: str = "ok"


def set_status(response: Response, *, is_up: bool) -> None:
    """Answers 503 while the studio is down, for clients that read only the status."""
    if not is_up:
        response.status_code = 503
        response.headers["Retry-After"] = "2"


@router.get("", responses={503: {"model": HealthResponse}})
async def read_health(response: Response, watch: HealthDep) -> HealthResponse:
    """Returns the health of all parts; 503 while search can't be served."""
    health = await watch.check()
    set_status(response, is_up=health.status != "down")
    services = {name: ServiceResponse.from_row(part) for name, part in health.services.items()}
    return HealthResponse(status=health.status, services=services)


@router.get("/live")
async def check_live() -> LiveResponse:
    """Answers while this process runs; checks nothing else."""
    return LiveResponse()


@router.get("/ready")
async def check_ready(watch: HealthDep, draining: DrainingDep) -> ReadyResponse:
    """Answers while this replica can answer searches; for load balancers, 503 otherwise."""
    if draining.is_set():
        raise Unavailable("this replica is stopping")
    await watch.require_search()
    return ReadyResponse()


@router.get("/{service}", responses={503: {"model": ServiceResponse}})
async def read_service_health(
    service: str, response: Response, watch: HealthDep
) -> ServiceResponse:
    """Returns the health of one part; 503 while it is down."""
    if service not in SERVICES:
        raise NotFound("no such service")
    health = await watch.check_service(service)
    set_status(response, is_up=health.status != "down")
    return ServiceResponse.from_row(health)
