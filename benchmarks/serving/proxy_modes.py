"""Ray Serve's ways to take HTTP in, side by side: speed, bound addresses, client address, errors.

    python -m benchmarks.serving.proxy_modes            # needs wrk (Debian package `wrk`)

Each mode runs in a fresh local cluster with the late-bound ingress form that the studio uses; one
route answers at once, one makes a hop to a second deployment, one is slow.
"""

import os
import re
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

from benchmarks.report import head, keep

PORT = 8123
HAPROXY_PORTS = (8404, 9101)  # its statistics and metrics
DIRECT = {
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(PORT),
    "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(PORT + 1),
    "RAY_SERVE_PORT_QUARANTINE_S": "0",
    "FORWARDED_ALLOW_IPS": "none",
}
MODES: dict[str, dict[str, str]] = {
    "stock Python proxy": {},
    "Python proxy, buffered log, gRPC": {
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_ENABLE_DIRECT_INGRESS": "0",
        "RAY_SERVE_PROXY_USE_GRPC": "1",
    },
    "HAProxy, throughput mode": {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
    },
    "direct ingress, throughput mode": DIRECT,
}


def serve_mode() -> None:
    """Child process: serves until its standard input closes."""
    import ray
    from fastapi import FastAPI, Request
    from ray import serve

    from deployments.serve.patches import reuse_port

    @serve.deployment(ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=100)
    class Hop:
        async def echo(self, text: str) -> str:
            return text

    @serve.deployment(
        ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=100, max_queued_requests=100
    )
    @serve.ingress()
    class Entry:
        def __init__(self, hop: Any) -> None:
            reuse_port()  # the modes follow each other on one port
            self._hop = hop

        def __serve_build_asgi_app__(self) -> FastAPI:
            app = FastAPI()

            @app.get("/noop")
            async def noop() -> dict[str, str]:
                return {"status": "ok"}

            @app.get("/hop")
            async def hop() -> dict[str, str]:
                return {"status": await self._hop.echo.remote("ok")}

            @app.get("/peer")
            async def peer(request: Request) -> dict[str, str]:
                return {"client": request.client.host if request.client else "none"}

            @app.get("/die")
            async def die() -> None:
                os._exit(1)

            return app

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    direct = os.environ.get("RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT")
    serve.start(http_options={"host": "127.0.0.1", "port": PORT + 2 if direct else PORT})
    graph: Any = Entry
    hop: Any = Hop
    serve.run(graph.bind(hop.bind()), name="bench", route_prefix="/")
    print("ready", flush=True)
    sys.stdin.read()
    serve.shutdown()  # type: ignore[no-untyped-call]
    ray.shutdown()


def wrk(route: str, callers: int, seconds: int = 5) -> tuple[float, float]:
    """Requests per second and median latency in ms."""
    command = ["wrk", "-t1", f"-c{callers}", f"-d{seconds}s", "--latency"]
    out = subprocess.run(
        [*command, f"http://127.0.0.1:{PORT}{route}"], capture_output=True, text=True, check=True
    ).stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])  # type: ignore[index]
    value, unit = re.search(r"50%\s+([\d.]+)(us|ms|s)", out).groups()  # type: ignore[union-attr]
    return rate, float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def http(route: str, *headers: str) -> str:
    """Status line, headers and body of one raw request from 127.0.0.9."""
    with socket.create_connection(
        ("127.0.0.1", PORT), timeout=10, source_address=("127.0.0.9", 0)
    ) as connection:
        lines = [f"GET {route} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]
        connection.sendall("\r\n".join(lines).encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer.decode()


def after_death() -> str:
    """What a caller gets when the only replica was just killed."""
    with suppress(OSError):
        http("/die")
    time.sleep(0.3)
    try:
        answer = http("/noop")
    except OSError as error:
        return type(error).__name__
    kind = re.search(r"content-type: ([^\r;]+)", answer, re.I)
    return f"{answer.split()[1]} {kind[1] if kind else ''}" if answer else "empty answer"


def listeners() -> set[str]:
    """Which of Serve's HTTP ports listen on every interface."""
    import psutil

    listening: list[Any] = [
        connection.laddr
        for connection in psutil.net_connections("tcp")
        if connection.status == "LISTEN"
    ]
    open_to_all = {address.port for address in listening if address.ip in {"0.0.0.0", "::"}}
    return {str(port) for port in open_to_all & {PORT, *HAPROXY_PORTS}}


def measure(mode: str, before: set[str]) -> dict[str, Any]:
    """Starts the mode, measures it, stops it."""
    environment = os.environ | MODES[mode] | {"RAY_USAGE_STATS_ENABLED": "0"}
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.serving.proxy_modes", "--serve"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin and child.stdout
    try:
        while (line := child.stdout.readline()) and line.strip() != "ready":
            pass
        wrk("/hop", 16, 3)
        row: dict[str, Any] = {"mode": mode}
        for name, route, callers in (
            ("noop 1", "/noop", 1),
            ("noop 16", "/noop", 16),
            ("hop 1", "/hop", 1),
            ("hop 16", "/hop", 16),
        ):
            row[name] = wrk(route, callers)
        row["peer"] = "127.0.0.9" in http("/peer")
        row["forged"] = "203.0.113.9" in http("/peer", "X-Forwarded-For: 203.0.113.9")
        row["wide"] = ", ".join(sorted(listeners() - before)) or "none"
        row["death"] = after_death()
        return row
    finally:
        child.stdin.close()
        child.wait(60)
        subprocess.run(["pkill", "-f", "haproxy-serve"], check=False)


def main() -> None:
    """Measures every mode in turn and writes the table."""
    before = listeners()
    lines = [
        "| mode | no-op, 1 caller | no-op, 16 | one hop, 1 caller | one hop, 16 "
        "| client's address seen | forgeable from loopback | open on all interfaces "
        "| replica just died |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for mode in sys.argv[1:] or MODES:
        row = measure(mode, before)
        cells = [
            f"{row[name][0]:.0f}/s ({row[name][1]:.1f} ms)"
            for name in ("noop 1", "noop 16", "hop 1", "hop 16")
        ]
        cells += [str(row[name]) for name in ("peer", "forged", "wide", "death")]
        lines.append(f"| {mode} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    keep("proxy_modes", [head("python -m benchmarks.serving.proxy_modes"), "", *lines])


if __name__ == "__main__":
    serve_mode() if "--serve" in sys.argv else main()
