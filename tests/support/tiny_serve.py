"""A tiny Serve application with the studio's plumbing: an ingress, one slow network, a backlog.

    python -m tests.support.tiny_serve FOLDER PORT    runs until its standard input is closed

Files in FOLDER steer it: the network waits for `free` and writes what it computes to `computed`;
`due` has the number of due jobs, and `replicas` that of the replicas of the network.
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from deployments.serve.ingress import ingress_environment
from gateway.deadline import DeadlineLayer
from gateway.envelope import Envelope
from gateway.last_handler import LastHandler
from studio.batching import MicroBatcher, in_thread

NETWORK = "TryOn"
SCALED = {
    "min_replicas": 1, "max_replicas": 3, "target_ongoing_requests": 4, "upscale_delay_s": 1,
    "downscale_delay_s": 2, "look_back_period_s": 2, "metrics_interval_s": 0.5,
}  # fmt: skip


def build(args: dict[str, str]) -> Any:
    """The application; Serve imports this function by name."""
    from ray import serve

    from deployments.serve.autoscaling import BUSY, DUE
    from deployments.serve.calls import call
    from deployments.serve.replica import Replica, bind
    from gateway.client_address import ClientAddress

    folder = Path(args["folder"])

    class TryOn(Replica):
        def __init__(self) -> None:
            run = in_thread(ThreadPoolExecutor(1), self._compute)
            self._batches: MicroBatcher[str, str] = MicroBatcher(run, max_batch=1, max_waiting=99)

        async def compute(self, name: str) -> str:
            return await self._batches.submit(name)

        def _compute(self, names: list[str]) -> list[str]:
            with (folder / "computed").open("a") as file:
                file.write("".join(f"{name}\n" for name in names))
            while not (folder / "free").exists():
                time.sleep(0.01)
            return names

        async def record_autoscaling_stats(self) -> dict[str, float]:
            return {BUSY: float(self._batches.is_busy)}

    class Dispatcher(Replica):
        async def record_autoscaling_stats(self) -> dict[str, float]:
            due = folder / "due"
            return {f"{DUE}tryon": float(due.read_text()) if due.exists() else 0.0}

    @serve.ingress()
    class Gateway(Replica):
        def __init__(self, network: Any, dispatcher: Any) -> None:
            self._network = network

        def __serve_build_asgi_app__(self) -> FastAPI:
            app = FastAPI()

            @app.get("/api/search/{name}")
            async def ask(name: str) -> str:
                return str(await call(NETWORK, self._network.compute, name))

            for layer in (DeadlineLayer, LastHandler):
                app.add_middleware(layer)
            app.add_middleware(Envelope, client_address=ClientAddress(()))
            return app

    light: dict[str, Any] = {"ray_actor_options": {"num_cpus": 0.1}, "max_ongoing_requests": 200}
    network = bind(TryOn, autoscaling_config=SCALED, **light)
    two = {"min_replicas": 1, "max_replicas": 1, "metrics_interval_s": 0.5, "look_back_period_s": 2}
    return bind(Gateway, network, bind(Dispatcher, autoscaling_config=two, **light), **light)


def main() -> None:
    """Deploys the application on a cluster of its own; writes the number of replicas often."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    os.environ |= ingress_environment(port, drain_s=1) | {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    import ray
    from ray import serve
    from ray.serve.context import _get_global_client
    from ray.serve.schema import ServeDeploySchema

    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    serve.start(proxy_location="Disabled", http_options={"host": "127.0.0.1"})
    policy = {"policy_function": "deployments.serve.autoscaling:follow_backlog"}
    application = {
        "name": "tiny", "route_prefix": "/", "import_path": "tests.support.tiny_serve:build",
        "args": {"folder": str(folder)}, "autoscaling_policy": policy,
    }  # fmt: skip
    client: Any = _get_global_client()
    client.deploy_apps(ServeDeploySchema.model_validate({"applications": [application]}))
    try:
        while not (folder / "stop").exists():
            status = serve.status().applications["tiny"]
            number: Any = status.deployments[NETWORK].replica_states if status.deployments else {}
            text = f"{status.status.value} {number.get('RUNNING', 0)} {status.message}"
            (folder / "replicas.new").write_text(text)
            (folder / "replicas.new").rename(folder / "replicas")
            time.sleep(0.2)
    finally:
        serve.shutdown()  # type: ignore[no-untyped-call]
        ray.shutdown()


if __name__ == "__main__":
    main()
