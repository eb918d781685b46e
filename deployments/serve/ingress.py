"""How HTTP enters: callers reach the Gateway replicas themselves, without a proxy in between.

Measured (benchmarks/results/proxy_modes.md): several times the requests of Serve's Python proxy,
more than HAProxy, the caller's own address, loopback binding, and every answer is the Gateway's.
Nothing here imports Ray, because Ray Serve reads these variables when it is imported.
"""

import os
import sys
from collections.abc import Iterable, Mapping

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.envelope import request_id_of


def ingress_environment(port: int, *, drain_s: float = 30.0) -> dict[str, str]:
    """What every Ray process must have in its environment: one Gateway a node, on this port.

    `drain_s`: how long a replica that ends still answers, so that a load balancer can leave it.
    """
    return {
        "RAY_SERVE_ENABLE_DIRECT_INGRESS": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(port),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(port + 1),
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": str(drain_s),
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "deployments.serve.ingress:middlewares",
        # A restarted Gateway takes the port of the dead one at once.
        "RAY_SERVE_PORT_QUARANTINE_S": "0",
        # Pictures travel between deployments as bytes of up to 15 MB.
        "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(32 * 2**20),
        # Only `STUDIO_TRUSTED_PROXIES` may say who the client is; uvicorn would believe loopback.
        "FORWARDED_ALLOW_IPS": "none",
    }


def tracing_environment(given: Mapping[str, str]) -> dict[str, str]:
    """What every Ray process needs so that spans are recorded; nothing without an exporter.

    `given`: the operator's environment: `STUDIO_OTLP_URL`, or the standard `OTEL_*` variables.
    """
    endpoint = given.get("STUDIO_OTLP_URL") or given.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not endpoint and not given.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return {}
    told = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint} if endpoint else {}
    return told | {
        "OTEL_SERVICE_NAME": given.get("OTEL_SERVICE_NAME", "ai-fashion-studio"),
        "RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH": "deployments.serve.tracing:span_processors",
        "RAY_SERVE_TRACING_SAMPLING_RATIO": given.get("OTEL_TRACES_SAMPLER_ARG", "1.0"),
    }


SERVE_HEADERS = frozenset(
    {
        b"x_request_timeout_seconds",
        b"x_request_disconnect_disabled",
        b"x_session_id",
        b"serve_multiplexed_model_id",
    }
)
"""By these a caller would set Serve's own timeout, keep work going after hanging up, and choose
replicas. Serve reads them with underscores, too, and fails where they are no UTF-8."""
TRACE_HEADERS = frozenset({b"traceparent", b"tracestate"})


def clean_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Those that go on: none by which callers would give orders to Serve, or make it fail."""
    return [
        (name, value)
        for name, value in headers
        if name.replace(b"-", b"_") not in SERVE_HEADERS
        and (name not in TRACE_HEADERS or value.isascii())
    ]


class CleanHead:
    """Outermost layer: Serve would echo any `X-Request-ID`, well formed or not, beside ours."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything inside sees one well-formed id, and the answer carries it once."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = request_id_of(scope)
        scope["headers"] = clean_headers(scope["headers"])
        MutableHeaders(scope=scope)["X-Request-ID"] = request_id

        async def send_once(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        await self.app(scope, receive, send_once)


def middlewares() -> list[Middleware]:
    """What Serve wraps around its own HTTP layers; it imports this by name."""
    return [Middleware(CleanHead)]


def main() -> None:
    """Shell commands for `ray start`: `python -m deployments.serve.ingress PORT`."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    variables = ingress_environment(port) | tracing_environment(os.environ)
    for name, value in variables.items():
        sys.stdout.write(f"export {name}={value}\n")


if __name__ == "__main__":
    main()
