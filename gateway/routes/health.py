"""Routes that say how the studio is."""

from fastapi import APIRouter, Response

from errors import NotFound
from gateway.deps import HealthDep, Public
from gateway.wire import WireResponse
from studio.telemetry.health import SERVICES, ServiceHealth

router = APIRouter(prefix="/api/health", tags=["health"], dependencies=[Public])


class ServiceResponse(WireResponse):
    """One part of the studio."""

    status: str
    latency_ms: float
    detail: str | None = None

    @classmethod
    def of(cls, health: ServiceHealth) -> "ServiceResponse":
        """Health -> wire."""
        return cls(status=health.status, latency_ms=health.latency_ms, detail=health.detail)


class HealthResponse(WireResponse):
    """All parts of the studio."""

    status: str
    services: dict[str, ServiceResponse]


class LiveResponse(WireResponse):
    """That this process answers."""

    status: str = "ok"


def set_status(response: Response, *, is_up: bool) -> None:
    """503 for machines that look at nothing else."""
    if not is_up:
        response.status_code = 503
        response.headers["Retry-After"] = "2"


@router.get("", responses={503: {"model": HealthResponse}})
async def get_health(response: Response, watch: HealthDep) -> HealthResponse:
    """Every part; 503 while search can't be served."""
    found = await watch.check()
    set_status(response, is_up=found.status != "down")
    services = {name: ServiceResponse.of(health) for name, health in found.services.items()}
    return HealthResponse(status=found.status, services=services)


@router.get("/live")
async def get_live() -> LiveResponse:
    """This process answers; nothing else is asked."""
    return LiveResponse()


@router.get("/{service}", responses={503: {"model": ServiceResponse}})
async def get_service_health(service: str, response: Response, watch: HealthDep) -> ServiceResponse:
    """One part; 503 while it is down."""
    if service not in SERVICES:
        raise NotFound("no such service")
    health = await watch.check_service(service)
    set_status(response, is_up=health.status != "down")
    return ServiceResponse.of(health)
