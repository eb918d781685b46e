"""The private names of Ray that start and watch the head node are there, or a test names them."""

import importlib
import inspect
from typing import Any

import pytest

PARAMETERS = {
    "ray._private.parameter.RayParams": {
        "node_ip_address", "include_dashboard", "dashboard_host", "dashboard_port",
        "dashboard_agent_listen_port", "object_store_memory", "temp_dir", "no_monitor",
    },
    "ray._private.node.Node": {"head", "shutdown_at_exit", "spawn_reaper", "ray_init_cluster"},
    "ray._private.node.Node.kill_all_processes": {"check_alive", "allow_graceful", "wait"},
}  # fmt: skip
ATTRIBUTES = ("ray._private.node.Node.dead_processes", "ray._private.node.Node.gcs_address")


def resolve(name: str) -> Any:
    """The object of a name below `ray._private.MODULE`."""
    ray, private, module, *parts = name.split(".")
    owner: Any = importlib.import_module(f"{ray}.{private}.{module}")
    for part in parts:
        owner = getattr(owner, part)
    return owner


@pytest.mark.parametrize("name", [*PARAMETERS, *ATTRIBUTES])
def test_the_private_name_is_in_the_pinned_version(name: str) -> None:
    resolve(name)


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_private_function_takes_these_parameters(name: str) -> None:
    assert PARAMETERS[name] <= set(inspect.signature(resolve(name)).parameters)
