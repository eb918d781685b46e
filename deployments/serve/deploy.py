"""Deploys the application to the running cluster as `serve deploy` does, and connects to it."""

import logging
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
import yaml
from ray import serve
from ray.dashboard.modules.serve.sdk import ServeSubmissionClient
from ray.serve.schema import ApplicationStatus

from deployments.serve.connections import STARTER_CONFIG
from deployments.serve.studio import APPLICATION
from errors import SetupError
from settings import Settings

START_TIMEOUT_S = 180.0


def start(
    settings: Settings, go_on: Callable[[], None] = lambda: None, config: Path = STARTER_CONFIG
) -> None:
    """Deploys and waits until every deployment answers; `go_on` may raise to end the wait.

    Raises:
        SetupError: a deployment failed; the message contains Serve's.
    """
    schema = read_config(settings, config)
    client = ServeSubmissionClient(f"http://127.0.0.1:{settings.dashboard_port}")
    client.deploy_applications(schema)
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        status = serve.status().applications.get(APPLICATION)
        if status is not None and status.status == ApplicationStatus.RUNNING:
            return
        if status is not None and status.status == ApplicationStatus.DEPLOY_FAILED:
            raise SetupError(f"the application can't be deployed: {reason(status)}")
        go_on()
        time.sleep(0.2)
    raise SetupError(f"the application was not running after {START_TIMEOUT_S:.0f} s")


def stop() -> None:
    """Drains every replica, then ends Serve."""
    serve.shutdown()  # type: ignore[no-untyped-call]


def read_config(settings: Settings, path: Path) -> dict[str, Any]:
    """The YAML's numbers with this studio's addresses."""
    schema: dict[str, Any] = yaml.safe_load(path.read_text())
    schema["http_options"] = {"host": settings.host, "port": free_port()}
    return schema


def free_port() -> int:
    """A port for Serve's own proxy, which callers never use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def reason(status: Any) -> str:
    """Why an application failed: its message and those of its deployments."""
    messages = [
        status.message, *(deployment.message for deployment in status.deployments.values())
    ]  # fmt: skip
    return "\n".join(message for message in messages if message)


def connect(ray_address: str) -> None:
    """Connects this process to a running cluster."""
    ray.init(address=ray_address, log_to_driver=False, logging_level=logging.ERROR)
