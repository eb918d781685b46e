"""The HTTP ingress: callers connect to the Gateway replicas, without a proxy in between.

Measured (benchmarks/results/proxy_modes.md): this serves several times the requests of Serve's
Python proxy and more than HAProxy. The Gateway sees the caller's own address, may listen on
loopback, and writes every answer itself. This module does not import Ray, because Ray Serve reads
these variables when it is imported.
"""

import os
import sys
from collections.abc import Iterable, Mapping

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.envelope import request_id_of


def ingress_environment(port: int, *, drain_s: float = 30.0) -> dict[str, str]:
    """The environment of every Ray process, for one Gateway on each node, on this port.

    `drain_s`: how long a replica still answers after its shutdown has begun, so that a load
    balancer can stop sending requests to it.
    """
    return {
        "RAY_SERVE_ENABLE_DIRECT_INGRESS": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(port),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(port + 1),
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": str(drain_s),
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "deployments.serve.ingress:middlewares",
        # A restarted Gateway reuses the port of the dead one immediately.
        "RAY_SERVE_PORT_QUARANTINE_S": "0",
        # Pictures travel between deployments as bytes of up to 15 MB.
        "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(32 * 2**20),
        # Only `STUDIO_TRUSTED_PROXIES` may say who the client is; uvicorn would trust loopback.
        "FORWARDED_ALLOW_IPS": "none",
    }


NODE_ENVIRONMENT = {
    # By default replicas have a niceness of 15, and wait for whatever else their node does.
    "RAY_worker_niceness": "0",
    # By default a node ends, with its replicas, when the head has been away for a minute. A new
    # head takes longer than that where a machine has to be made for it.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "600",
}
"""The environment of every Ray process of a cluster of several machines."""


def tracing_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables by which every Ray process records spans; none without an exporter.

    `environment`: the operator's, with `STUDIO_OTLP_URL` or the standard `OTEL_*` variables.
    """
    endpoint = environment.get("STUDIO_OTLP_URL") or environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not endpoint and not environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return {}
    exporter = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint} if endpoint else {}
    return exporter | {
        "OTEL_SERVICE_NAME": environment.get("OTEL_SERVICE_NAME", "ai-fashion-studio"),
        "RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH": "deployments.serve.tracing:span_processors",
        "RAY_SERVE_TRACING_SAMPLING_RATIO": environment.get("OTEL_TRACES_SAMPLER_ARG", "1.0"),
    }


SERVE_HEADERS = frozenset(
    {
        b"x_request_timeout_seconds",
        b"x_request_disconnect_disabled",
        b"x_session_id",
        b"serve_multiplexed_model_id",
    }
)
"""With these headers a caller could set Serve's timeout, keep work running after a disconnect, and
choose replicas. Serve also reads them with underscores, and fails where they are not UTF-8."""
TRACE_HEADERS = frozenset({b"traceparent", b"tracestate"})


def clean_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers without those that control Serve or make it fail."""
    return [
        (name, value)
        for name, value in headers
        if name.replace(b"-", b"_") not in SERVE_HEADERS
        and (name not in TRACE_HEADERS or value.isascii())
    ]


class CleanHead:
    """The outermost ASGI layer: removes Serve's headers and settles the request id.

    Serve would return any `X-Request-ID`, even a malformed one, in addition to the studio's.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Gives inner layers one well-formed request id, which the answer carries once."""
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
    """The layers that Serve adds around its own; it imports this function by name."""
    return [Middleware(CleanHead)]


def main() -> None:
    """Prints shell commands to run before `ray start`.

    Usage: `python -m deployments.serve.ingress PORT`.
    """
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    variables = ingress_environment(port) | NODE_ENVIRONMENT | tracing_environment(os.environ)
    for name, value in variables.items():
        sys.stdout.write(f"export {name}={value}\n")


if __name__ == "__main__":
    main()
