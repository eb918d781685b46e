"""The nodes of a Ray cluster on one machine, started by the commands of cluster.yaml.

Each node is a `ray start` of its own with its own environment, as on machines of their own, and is
killed with all its processes at once, as a machine that loses its power.
"""

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

from local.running import environment, free_port
from settings import PROJECT_ROOT

LOOPBACK = "127.0.0.1"
HEAD_ADDRESS = "127.0.0.2"
"""Every node has a loopback address of its own; Ray replaces 127.0.0.1 by the external one."""
BIN = Path(sys.executable).parent
OBJECT_STORE_BYTES = 200 * 2**20
START_S = 90.0


@dataclass(frozen=True)
class NodeKind:
    """The resources that a kind of machine declares to Ray; they are only counted."""

    cpus: int
    gpus: int = 0


HEAD, GPU, CPU = NodeKind(0), NodeKind(24, 1), NodeKind(16)
"""The machines of cluster.yaml: the head runs no replica."""


@dataclass
class Node:
    """A running `ray start --block`; its output is in a file."""

    name: str
    address: str
    process: subprocess.Popen[bytes]
    output: Path

    def family(self) -> list[psutil.Process]:
        """The node's processes: `ray start`, Ray's own, and all workers and replicas."""
        try:
            own = psutil.Process(self.process.pid)
            return [own, *own.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """Ends all processes of the node with SIGKILL; a second call does nothing."""
        family = self.family()
        for process in family:  # none may notice the death of another and say goodbye
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        for process in {*family, *self.family()}:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(30)


@dataclass
class RayNodes:
    """Starts and kills nodes; `variables` is the environment that all nodes share.

    store_url: the Redis or Valkey in which the head keeps its state, so that it can be restarted.
    """

    folder: Path
    variables: Mapping[str, str]
    store_url: str | None = None
    port: int = field(default_factory=free_port)
    dashboard_port: int = field(default_factory=free_port)
    token: str = field(default_factory=lambda: secrets.token_hex(32))
    nodes: dict[str, Node] = field(default_factory=dict)
    head_variables: dict[str, str] = field(default_factory=dict)
    _addresses: int = 2

    def environment_of(self, name: str) -> dict[str, str]:
        """The environment of a node's processes; each node has a disk of its own."""
        disk = self.folder / name
        disk.mkdir(exist_ok=True)
        own = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_USAGE_STATS_ENABLED": "0",
            # Idle workers take memory that several nodes on one machine don't have.
            "RAY_prestart_worker_first_driver": "0",
            "PYTHONPATH": str(PROJECT_ROOT),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
        }
        head = self.head_variables if name == "head" else {}
        return environment(disk, **own) | dict(self.variables) | head

    def start_head(self) -> None:
        """Starts the head, or starts it again on its old ports; returns when it answers.

        Its disk is a new one, as that of a new Pod: all that the head keeps is in the store. Ray
        would refuse the old one, whose file `ray_current_cluster` names an address that the
        processes of the other nodes, on this same machine, have in their command lines.
        """
        shutil.rmtree(self.folder / "head", ignore_errors=True)
        store: list[str] = []
        if self.store_url is not None:
            parts = urlsplit(self.store_url)
            self.head_variables["RAY_REDIS_ADDRESS"] = f"{parts.hostname}:{parts.port}"
            store = [f"--redis-password={parts.password}"]
        self._start(
            "head", HEAD_ADDRESS, HEAD, "--head", f"--port={self.port}",
            f"--dashboard-host={LOOPBACK}",
            f"--dashboard-port={self.dashboard_port}", f"--ray-client-server-port={free_port()}",
            *store,
        )  # fmt: skip
        self._await_dashboard()

    def add(self, name: str, kind: NodeKind) -> None:
        """Starts a worker node, which joins by itself."""
        self._addresses += 1
        address = f"127.0.0.{self._addresses}"
        self._start(name, address, kind, f"--address={HEAD_ADDRESS}:{self.port}")

    def kill(self, name: str) -> None:
        """Kills a node."""
        self.nodes.pop(name).kill()

    def end(self) -> None:
        """Kills all nodes, the head last."""
        for name in reversed(list(self.nodes)):
            self.kill(name)

    def _start(self, name: str, address: str, kind: NodeKind, *options: str) -> None:
        command = [
            str(BIN / "ray"), "start", "--block", *options, f"--node-ip-address={address}",
            f"--num-cpus={kind.cpus}", f"--num-gpus={kind.gpus}",
            f"--object-store-memory={OBJECT_STORE_BYTES}", "--dashboard-agent-listen-port=0",
            f"--temp-dir={self.folder / name / 'ray'}",
            # Nodes of one machine may not share a range of workers' ports.
            "--min-worker-port=0", "--max-worker-port=0",
        ]  # fmt: skip
        output = self.folder / f"{name}-{time.monotonic_ns()}.out"
        with output.open("wb") as file:
            process = subprocess.Popen(
                command,
                cwd=self.folder,  # Ray would put a folder with code first on every worker's path
                env=self.environment_of(name),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.nodes[name] = Node(name, address, process, output)

    def _await_dashboard(self) -> None:
        deadline_s = time.monotonic() + START_S
        head = self.nodes["head"]
        while time.monotonic() < deadline_s:
            if head.process.poll() is not None:
                break
            with suppress(httpx.TransportError):
                answer = self.ask("/api/version")
                if answer.status_code == 200:
                    return
            time.sleep(0.2)
        raise AssertionError(f"the head did not start:\n{head.output.read_text()}")

    def check(self) -> None:
        """Raises AssertionError where a node has ended by itself."""
        for node in self.nodes.values():
            assert node.process.poll() is None, f"{node.name} ended:\n{node.output.read_text()}"

    def ask(self, path: str) -> httpx.Response:
        """GETs a path of the dashboard's API, with the token."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.get(self.dashboard_url + path, headers=headers, timeout=20)

    @property
    def dashboard_url(self) -> str:
        """The address of the dashboard, on the head."""
        return f"http://{LOOPBACK}:{self.dashboard_port}"
