"""Runs a function once on every node of a Ray cluster, for commands that prepare machines."""

# ruff: noqa: PLC0415 - Ray takes seconds to import, and reads the environment then

import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from errors import SetupError, StudioError

CONNECT_S = 5.0


@dataclass(frozen=True)
class NodeReport:
    """A line that the function yielded on a node.

    node: its address, and the first digits of its id, because one machine may run several nodes.
    is_failure: the line says why the function ended.
    """

    node: str
    line: str
    is_failure: bool = False


def run_on_nodes(
    function: Callable[..., Iterator[str]], *args: object, environment: Mapping[str, str]
) -> Iterator[NodeReport]:
    """Runs a generator function on all nodes at the same time; yields its lines as they come.

    The cluster is that of `RAY_ADDRESS`, or the one that runs on this machine. The function takes
    no CPU of the cluster's, so it also runs where replicas hold them all. environment: variables
    of its processes, beside those of the node.

    Raises:
        SetupError: there is no such cluster.
    """
    import ray
    from ray.exceptions import RayError

    address = os.environ.get("RAY_ADDRESS") or "auto"
    try:
        _require_listener(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except OSError as error:
        raise SetupError(
            "no Ray cluster answers: run this on a node of the cluster, or set RAY_ADDRESS"
        ) from error
    try:
        running = _start(function, args, environment)
        while running:
            ready, _ = ray.wait([*running], num_returns=1)
            stream: Any = ready[0]
            node = running[stream]
            try:
                yield NodeReport(node, ray.get(next(stream)))
            except StopIteration:
                del running[stream]
            except (StudioError, RayError) as error:
                del running[stream]
                reason = error.detail if isinstance(error, StudioError) else str(error)
                yield NodeReport(node, reason, is_failure=True)
    finally:
        ray.shutdown()


def _require_listener(address: str) -> None:
    """Tries to connect to `host:port`, because Ray itself gives up only after 40 s.

    Raises:
        OSError: nothing listens there.
    """
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()


def _start(
    function: Callable[..., Iterator[str]], args: tuple[object, ...], environment: Mapping[str, str]
) -> dict[Any, str]:
    """Starts the function on every living node; each node's address and id by its lines."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task: Any = ray.remote(
        num_cpus=0, num_returns="streaming", max_retries=0,
        runtime_env={"env_vars": dict(environment)},
    )(function)  # fmt: skip
    return {
        task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(*args): f"{node['NodeManagerAddress']} {node['NodeID'][:8]}"
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"]
    }
