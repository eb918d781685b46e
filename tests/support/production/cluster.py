"""`serve_config.yaml` as shipped, on a Ray cluster of several nodes on this one machine.

    def test_something(production: ProductionCluster) -> None: ...

The nodes are those of cluster.yaml: a head without CPUs, a GPU node and a CPU node, whose CPUs and
GPUs are only counted. The servers are real: PostgreSQL, Valkey, and Azurite as Azure Blob Storage.
`deviations` lists everything that one small machine makes different from production.
"""

import asyncio
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from db.engine import Database
from db.migrate import upgrade
from deployments.serve.connections import PRODUCTION_CONFIG
from deployments.serve.ingress import NODE_ENVIRONMENT, ingress_environment
from local.running import free_port
from local.servers.postgres import Postgres
from local.servers.valkey import Valkey
from settings import PROJECT_ROOT
from studio.accounts.accounts import create_user
from tests.support.azurite import Azurite
from tests.support.fakes import PASSWORD
from tests.support.production.checkpoints import write_tiny
from tests.support.production.nodes import BIN, CPU, GPU, LOOPBACK, RayNodes

CONTAINER = "studio"
START_S = 240.0
PEOPLE = ("customer", "merchant", "admin")


@dataclass(frozen=True)
class ReplicaState:
    """A replica as Serve reports it."""

    deployment: str
    state: str
    pid: int
    address: str


class Servers:
    """PostgreSQL, Valkey and Azurite, each of which can be stopped and started again.

    head_store: the Valkey of a head that can be restarted; it is not started with the others.
    """

    def __init__(self, folder: Path) -> None:
        (folder / "azurite").mkdir()
        self.postgres, self.valkey = Postgres(folder), Valkey(folder)
        self.azurite = Azurite(folder / "azurite")
        self.head_store = Valkey(make_place(folder / "head-store"))

    def start(self) -> None:
        self.postgres.start()
        self.valkey.start()
        self.azurite.start()
        self.azurite.make_container(CONTAINER)

    def stop(self) -> None:
        for server in (self.head_store, self.azurite, self.valkey, self.postgres):
            server.stop()


class ProductionCluster:
    """The servers, the nodes and the application; `start` brings all of it up.

    Attributes:
        url: the Gateways of all nodes; the kernel spreads connections over them.
        nodes: the Ray nodes, by name: "head", "gpu", "cpu".
    """

    def __init__(
        self,
        folder: Path,
        checkpoints: Callable[[Path], dict[str, str]] = write_tiny,
        change: Callable[[dict[str, Any]], None] = lambda _: None,
        **variables: str,
    ) -> None:
        """`change` alters the Serve schema before it is deployed; `variables` the environment."""
        self.folder = folder
        self.servers = Servers(folder)
        self.port, self._proxy_port = free_port(), free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self._checkpoints, self._change, self._variables = checkpoints, change, variables
        self.nodes: RayNodes

    def start(self, gpu_nodes: int = 1, *, can_restart_head: bool = False) -> None:
        """Starts servers and nodes, deploys, and waits until every deployment is healthy.

        can_restart_head: the head keeps its state in a Valkey of its own (GCS fault tolerance).
        """
        with ThreadPoolExecutor(1) as thread:
            checkpoints = thread.submit(self._write_checkpoints)
            self.servers.start()
            upgrade(self.servers.postgres.url())
            asyncio.run(self._create_people())
            store_url = self.servers.head_store.start() if can_restart_head else None
            self.nodes = RayNodes(self.folder, self._environment(checkpoints.result()), store_url)
        self.nodes.start_head()
        for number in range(gpu_nodes):
            self.nodes.add("gpu" if number == 0 else f"gpu-{number + 1}", GPU)
        self.nodes.add("cpu", CPU)
        self.deploy()
        self.await_running()

    def deploy(self, change: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
        """`serve deploy`, as an operator does it; `change` alters the Serve schema once more."""
        schema = read_shipped(self._proxy_port)
        self._change(schema)
        change(schema)
        path = self.folder / "serve_config.yaml"
        path.write_text(yaml.safe_dump(schema))
        subprocess.run(
            [str(BIN / "serve"), "deploy", str(path), "--address", self.nodes.dashboard_url],
            cwd=PROJECT_ROOT,
            env=self.nodes.environment_of("head"),
            check=True,
            capture_output=True,
            timeout=120,
        )

    def application(self) -> dict[str, Any]:
        """The application's status as Serve reports it; empty before it is deployed."""
        answer = self.nodes.ask("/api/serve/applications/")
        status: dict[str, Any] = answer.json()["applications"].get("studio", {})
        return status

    def replicas(self, deployment: str | None = None) -> list[ReplicaState]:
        """The replicas of a deployment, or of all."""
        deployments: dict[str, Any] = self.application().get("deployments", {})
        return [
            ReplicaState(name, one["state"], one.get("pid") or 0, one.get("node_ip") or "")
            for name, status in deployments.items()
            if deployment in (None, name)
            for one in status["replicas"]
        ]

    def count_running(self, deployment: str) -> int:
        """How many replicas of a deployment run."""
        return sum(one.state == "RUNNING" for one in self.replicas(deployment))

    def actors(self) -> str:
        """The names of the classes of all living actors, in one text."""
        actors = self.nodes.ask("/logical/actors?nocache=1").json()["data"]["actors"].values()
        return " ".join(one["actorClass"] for one in actors if one["state"] == "ALIVE")

    def await_running(self, timeout_s: float = START_S) -> None:
        """Waits until the application runs with all replicas healthy.

        Raises:
            AssertionError: it failed, or did not get there in time; the message says why.
        """
        deadline_s = time.monotonic() + timeout_s
        status: dict[str, Any] = {}
        while time.monotonic() < deadline_s:
            self.nodes.check()
            status = self.application()
            states = [one["status"] for one in status.get("deployments", {}).values()]
            if status.get("status") == "RUNNING" and set(states) == {"HEALTHY"}:
                return
            if status.get("status") == "DEPLOY_FAILED":
                break
            time.sleep(0.3)
        raise AssertionError(describe(status))

    def end(self) -> None:
        """Kills the nodes, which take no leave, and stops the servers."""
        if hasattr(self, "nodes"):
            self.nodes.end()
        self.servers.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _create_people(self) -> None:
        """An account of each role: production has no demo accounts."""
        database = Database(self.servers.postgres.url(), pool_size=1)
        for role in PEOPLE:
            await create_user(database, email=f"{role}@example.com", password=PASSWORD, role=role)
        await database.aclose()

    def _write_checkpoints(self) -> dict[str, str]:
        folder = self.folder / "checkpoints"
        folder.mkdir()
        return self._checkpoints(folder)

    def _environment(self, checkpoints: dict[str, str]) -> dict[str, str]:
        """The variables of every node, as /etc/studio.env and cluster.yaml set them."""
        return (
            ingress_environment(self.port)
            | NODE_ENVIRONMENT
            | {
                "STUDIO_ENV": "production",
                "STUDIO_PROFILE": "production",
                "STUDIO_PUBLIC_URL": "https://studio.example.com",
                "STUDIO_DATABASE_URL": self.servers.postgres.url(),
                "STUDIO_REDIS_URL": self.servers.valkey.url,
                "STUDIO_BLOB_URL": self.servers.azurite.blob_url(CONTAINER),
                "STUDIO_JWT_SECRET": secrets.token_urlsafe(48),
                "STUDIO_PAYPAL_URL": "off",
                "HF_HUB_OFFLINE": "1",
            }
            | checkpoints
            | DEVIATIONS
            | self._variables
        )


DEVIATIONS = {
    # GPUs are only counted, and half precision is ten times slower than fp32 on a CPU.
    "STUDIO_DEVICE": "cpu",
    "STUDIO_PRECISION": "fp32",
    # A node that is gone is noticed after 5 s instead of 15.
    "RAY_health_check_period_ms": "1000",
    # Tests come from one address.
    "STUDIO_LIMIT_AUTH": "10000",
    "STUDIO_LIMIT_SEARCH": "1000000",
    "STUDIO_LIMIT_CV": "10000",
    "STUDIO_LIMIT_DEFAULT": "1000000",
}
"""The variables that one small machine makes different from production's."""


def read_shipped(proxy_port: int) -> dict[str, Any]:
    """serve_config.yaml with what one small machine makes different.

    The Gateways of all nodes share one port by SO_REUSEPORT: the kernel is the load balancer.
    """
    schema: dict[str, Any] = yaml.safe_load(PRODUCTION_CONFIG.read_text())
    schema["http_options"] |= {"host": LOOPBACK, "port": proxy_port}  # nothing listens outside
    args = schema["applications"][0]["args"]
    for model in ("embedder", "segmenter", "tryon"):
        args[model]["threads"] = 1  # four threads of each replica would fight for two cores
    # Thousands of pictures take minutes to upload; each reader loads 0.4 GB of libraries.
    args["dispatcher"]["reindex"] |= {"from_pictures": 10, "readers": 1}
    return schema


def describe(status: dict[str, Any]) -> str:
    """Why an application does not run: its message and those of its deployments."""
    lines = [f"{status.get('status')}: {status.get('message')}"]
    for name, deployment in status.get("deployments", {}).items():
        states = [one["state"] for one in deployment["replicas"]]
        lines.append(f"{name} {deployment['status']} {states}: {deployment['message']}")
    return "\n".join(lines)


def make_folder() -> Path:
    """A folder with a short path, for Unix sockets, that the servers' own account can enter."""
    return make_place(Path(tempfile.mkdtemp(prefix="prod-", dir="/tmp")))


def make_place(folder: Path) -> Path:
    """Makes the folder, where it is missing, so that the servers' own account can enter it."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    return folder
