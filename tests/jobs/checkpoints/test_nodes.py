"""`--every-node`: one run on each node of a real cluster, each with a cache of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster

from errors import SetupError
from jobs.checkpoints.nodes import run_on_nodes
from jobs.checkpoints.preparation import fetch_checkpoints
from models.checkpoints.hub import pins_of
from models.checkpoints.pins import Pinning, write_lock
from models.segmenter.sam import SamConfig
from settings import PROJECT_ROOT
from tests.support.hub import Hub

FILE = "checkpoints/sam_vit_b_01.pth"
NODES = ("head", "worker")


@pytest.fixture
def cluster(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes without a free CPU, whose processes have a cache each, and may not use the hub."""
    monkeypatch.setenv("PYTHONPATH", str(PROJECT_ROOT))
    cluster: Any = Cluster()
    for node in NODES:
        variables = {"HF_HOME": str(tmp_path / node), "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "1"}
        cluster.add_node(
            num_cpus=0, include_dashboard=False, object_store_memory=100 * 2**20,
            env_vars=variables,
        )  # fmt: skip
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield cluster
    cluster.shutdown()


# Slow: a cluster of two nodes starts.
def test_every_node_fetches_for_itself(cluster: Any, hub: Hub, tmp_path: Path) -> None:
    hub.push("shop/sam", {FILE: b"weights"})
    sam = SamConfig(f"hf-hub:shop/sam/{FILE}", pinning=Pinning(tmp_path / "models.lock"))
    write_lock(tmp_path / "models.lock", dict(pins_of(sam.checkpoint, "sam", "fp32")))
    online = {"HF_HUB_OFFLINE": "0"}
    reports = list(run_on_nodes(fetch_checkpoints, [sam], environment=online))
    assert [report.is_failure for report in reports] == [False, False]
    caches = [tmp_path / node for node in NODES]
    assert all(any(str(cache) in report.line for report in reports) for cache in caches)
    for cache in caches:
        (file,) = cache.rglob(FILE)
        assert file.read_bytes() == b"weights"
    hub.repositories.clear()
    for file in caches[0].rglob(FILE):
        file.resolve().write_bytes(b"damaged")
    reports = list(run_on_nodes(fetch_checkpoints, [sam], environment=online))
    assert sorted(report.is_failure for report in reports) == [False, True]
    (failure,) = [report.line for report in reports if report.is_failure]
    assert failure.startswith("shop/sam at ") and "can't be fetched" in failure


def test_a_cluster_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(SetupError, match="no Ray cluster answers"):
        list(run_on_nodes(fetch_checkpoints, [], environment={}))
