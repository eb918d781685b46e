"""A process that drains the node of a busy replica, and prints what its callers got as JSON.

Usage: `python -m tests.support.drained_node ray drain-node --reason …`, the words of a pod's hook.
"""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import ray
from ray import serve
from ray.cluster_utils import Cluster

CALLERS = 8
LIMIT_S = 90


class WhereItRuns:
    """Answers slowly with the id of its node."""

    async def __call__(self) -> str:
        await asyncio.sleep(0.2)
        return str(ray.get_runtime_context().get_node_id())


def ask(handle: Any) -> list[str]:
    """The answers to several calls at once."""
    return [answer.result(timeout_s=60) for answer in [handle.remote() for _ in range(CALLERS)]]


def main(program: str, command: str, *words: str) -> None:
    """Calls until the replica has moved."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    deployment: Any = serve.deployment(
        WhereItRuns, graceful_shutdown_timeout_s=30, ray_actor_options={"num_cpus": 1}
    )
    handle = serve.run(deployment.bind())
    (node,) = set(ask(handle))
    place = ["--address", cluster.address, "--node-id", node]
    ray_program = Path(sys.executable).with_name(program)
    with subprocess.Popen([ray_program, command, *place, *words]) as drain:
        answers, end = ask(handle), time.monotonic() + LIMIT_S
        while set(answers[-CALLERS:]) & {node} and time.monotonic() < end:
            answers += ask(handle)
        code = drain.wait(60)
    moved = node not in answers[-CALLERS:]
    result = {"drain": code, "calls": len(answers), "has_moved": moved}
    sys.stdout.write(f"\n{json.dumps(result)}\n")
    sys.stdout.flush()
    serve.shutdown()  # type: ignore[no-untyped-call]
    ray.shutdown()
    cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(*sys.argv[1:])
