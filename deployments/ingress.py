"""How HTTP enters: callers reach the Gateway replicas themselves, without a proxy in between.

Measured (benchmarks/results/proxy_modes.md): several times the requests of Serve's Python proxy,
more than HAProxy, the caller's own address, loopback binding, and every answer is the Gateway's.
Nothing here imports Ray, because Ray Serve reads these variables when it is imported.
"""


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
        # A restarted Gateway takes the port of the dead one at once.
        "RAY_SERVE_PORT_QUARANTINE_S": "0",
        # Pictures travel between deployments as bytes of up to 15 MB.
        "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(32 * 2**20),
        # Only `STUDIO_TRUSTED_PROXIES` may say who the client is; uvicorn would believe loopback.
        "FORWARDED_ALLOW_IPS": "none",
    }
