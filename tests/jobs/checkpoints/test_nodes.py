"""`--every-node`: one run on each node of a real cluster, each in the node's own environment.

tests/proof/test_checkpoints.py runs the commands of `studio models` this way.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from ray.cluster_utils import Cluster

from errors import SetupError
from jobs.checkpoints.nodes import run_on_nodes
from settings import PROJECT_ROOT

NODES = ("head", "worker")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes without a free CPU, whose processes have a cache each, and may not use the hub."""
    monkeypatch.setenv("PYTHONPATH", str(PROJECT_ROOT))
    cluster: Any = Cluster()
    for node in NODES:
        cluster.add_node(
            num_cpus=0, include_dashboard=False, object_store_memory=100 * 2**20,
            env_vars={"HF_HOME": f"/cache/{node}", "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield cluster
    cluster.shutdown()


@pytest.mark.usefixtures("cluster")
def test_every_node_runs_in_its_own_environment_and_fails_alone() -> None:
    def read_variables(failing: str) -> Iterator[str]:  # nested, so that no node imports this file
        cache = os.environ["HF_HOME"]
        yield f"{cache}, offline {os.environ['HF_HUB_OFFLINE']}"
        if cache == failing:
            raise SetupError("its files are damaged")
        yield f"{cache} is whole"

    reports = list(run_on_nodes(read_variables, "/cache/head", environment={"HF_HUB_OFFLINE": "0"}))
    assert {report.line for report in reports if not report.is_failure} == {
        "/cache/head, offline 0", "/cache/worker, offline 0", "/cache/worker is whole"
    }  # fmt: skip
    (failure,) = [report for report in reports if report.is_failure]
    assert failure.line == "its files are damaged"
    assert len({report.node for report in reports}) == len(NODES)


def test_a_cluster_that_does_not_answer_is_named() -> None:
    """In a process of its own: Ray reads its time limits once."""
    program = (
        "from jobs.checkpoints.nodes import run_on_nodes\n"
        "from errors import SetupError\n"
        "try:\n"
        "    list(run_on_nodes(print, environment={}))\n"
        "except SetupError as error:\n"
        "    print(error.detail)\n"
    )
    limits = {
        "RAY_gcs_server_port_wait_time_s": "0",  # one attempt
        "RAY_py_gcs_connect_timeout_s": "1",
        "RAY_gcs_rpc_server_connect_timeout_s": "1",
    }
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT_ROOT, text=True, capture_output=True,
        env=os.environ | limits | {"RAY_ADDRESS": "127.0.0.1:1", "PYTHONPATH": str(PROJECT_ROOT)},
        timeout=120, check=True,
    )  # fmt: skip
    assert "no Ray cluster answers" in run.stdout, run.stderr
