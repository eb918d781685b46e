"""`studio models` on a cluster of two nodes: every command, every model, each node for itself."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster

from local.running import environment
from settings import PROJECT_ROOT
from tests.models.segmenter.test_schp import FILE, write_schp
from tests.support.hub import Hub
from tests.support.published import files_of, push_adapter, push_sdxl, push_siglip

pytestmark = pytest.mark.proof
NODES = ("head", "worker")


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub().running() as hub:
        push_siglip(hub, "shop/siglip")
        hub.push("shop/parser", files_of(lambda folder: write_schp(folder / FILE)))
        push_sdxl(hub, "shop/painter")
        push_adapter(hub, "shop/adapter")
        yield hub


@pytest.fixture
def variables(hub: Hub, tmp_path: Path) -> dict[str, str]:
    """The environment of the commands and of all nodes, but for their caches."""
    return environment(
        tmp_path / "data", HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "desk"),
        STUDIO_PROFILE="production", STUDIO_EMBEDDER="hf-hub:shop/siglip", STUDIO_SAM="starter",
        STUDIO_PARSER=f"hf-hub:shop/parser/{FILE}", STUDIO_TRYON="hf-hub:shop/painter",
        STUDIO_TRYON_ADAPTER="shop/adapter:sdxl_models:ip-adapter_sdxl.safetensors",
        STUDIO_MODELS_LOCK=str(tmp_path / "models.lock"),
        STUDIO_ALLOW_NONCOMMERCIAL="true", PYTHONPATH=str(PROJECT_ROOT),
    )  # fmt: skip


@pytest.fixture
def cluster(variables: dict[str, str], tmp_path: Path) -> Iterator[Any]:
    cluster: Any = Cluster()
    for node in NODES:
        cluster.add_node(
            num_cpus=0, include_dashboard=False, object_store_memory=100 * 2**20,
            env_vars=variables | {"HF_HOME": str(tmp_path / node)},
        )  # fmt: skip
    yield cluster
    cluster.shutdown()


def test_all_nodes_fetch_verify_and_are_compared(
    cluster: Any, variables: dict[str, str], hub: Hub, tmp_path: Path
) -> None:
    def models(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli", "models", *words], cwd=PROJECT_ROOT, text=True,
            env=variables | {"RAY_ADDRESS": cluster.address}, capture_output=True, timeout=400,
            check=False,
        )  # fmt: skip

    locked = models("lock")
    assert locked.returncode == 0, locked.stderr
    fetched = models("fetch", "--every-node")
    assert fetched.returncode == 0, fetched.stderr
    assert fetched.stdout.count(" MB in ") == len(NODES) * 5
    hub.repositories.clear()  # from here on, nothing can come from a network
    verified = models("verify", "--every-node")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert verified.stdout.count("as in models.lock") == len(NODES) * 5
    assert verified.stdout.count(": ok   ") == len(NODES) * (5 + 4)
    (file,) = (tmp_path / "worker").rglob(FILE)
    file.resolve().write_bytes(b"damaged")
    damaged = models("verify", "--every-node")
    assert damaged.returncode == 1 and "failed on 1 of 2 nodes" in damaged.stderr
    assert "is not the file that is pinned" in damaged.stdout
    unfetched = models("fetch", "--every-node")
    assert unfetched.returncode == 1 and "failed on 1 of 2 nodes" in unfetched.stderr
    assert "can't be fetched" in unfetched.stdout
