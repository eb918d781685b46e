"""`make proof`: the production profile loses nodes and its head under load, and grows over GPUs."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.support.production.checkpoints import write_full_size_embedder
from tests.support.production.cluster import ProductionCluster, make_folder
from tests.support.production.nodes import CPU, GPU
from tests.support.production.searchers import Searchers
from tests.support.production.shop import Shop

pytestmark = [pytest.mark.proof, pytest.mark.timeout(1500)]

PRODUCTS = 12
RECOVERY_S = 120.0
HEAD_AWAY_S = 75.0


@contextmanager
def running(cluster: ProductionCluster, **options: Any) -> Iterator[Shop]:
    """The cluster with an open shop, until the block ends."""
    try:
        cluster.start(**options)
        with httpx.Client(base_url=cluster.url, timeout=60) as http:
            shop = Shop(http)
            shop.open(PRODUCTS)
            shop.send_pictures()
            yield shop
    finally:
        cluster.end()


def lose(cluster: ProductionCluster, shop: Shop, name: str, back: Callable[[], None]) -> None:
    """Kills a node under load, brings a new one, and waits until everything answers again."""
    with Searchers(cluster.url, shop) as searchers:
        cluster.nodes.kill(name)
        killed_s = time.monotonic()
        back()
        shop.wait_until(lambda: answers_everything(shop), RECOVERY_S)
        recovered_s = time.monotonic() - killed_s
    print(f"\n{name} lost: {dict(searchers.answers)}, well after {recovered_s:.0f} s")  # noqa: T201
    assert not searchers.wrong, searchers.wrong[:5]
    assert searchers.answers[200]


def answers_everything(shop: Shop) -> bool:
    shop.find_by_text()
    image = shop.post("/api/search/image", fileId=shop.pictures["product"][0], topK=1)
    cutout = shop.post("/api/cv/segmentation", fileId=shop.pictures["person"][0], target="person")
    return all(one.status_code == 200 for one in (image, cutout, shop.tryon("sync", steps=1)))


def test_nodes_and_the_head_are_lost_one_after_another() -> None:
    cluster = ProductionCluster(make_folder())
    with running(cluster, can_restart_head=True) as shop:
        jobs = [shop.tryon("queued", steps=1).json()["jobId"] for _ in range(4)]
        lose(cluster, shop, "gpu", lambda: cluster.nodes.add("gpu-2", GPU))
        lose(cluster, shop, "cpu", lambda: cluster.nodes.add("cpu-2", CPU))
        jobs += [shop.tryon("queued", steps=1).json()["jobId"] for _ in range(4)]
        lose(cluster, shop, "head", lambda: start_late(cluster))
        for job_id in jobs:
            shop.finish(job_id, "customer")
        cluster.await_running()


def start_late(cluster: ProductionCluster) -> None:
    """Starts the head after more than the minute that nodes wait for it by Ray's default."""
    time.sleep(HEAD_AWAY_S)
    cluster.nodes.start_head()


def scale_early(schema: dict[str, Any]) -> None:
    """Asks for more replicas at loads that a test can make; the delays are short.

    Every replica warms up with its largest batch, which takes a minute on a CPU: it is smaller.
    """
    schema["applications"][0]["args"]["embedder"]["max_batch"] = 8
    for deployment in schema["applications"][0]["deployments"]:
        if deployment["name"] in ("Index", "Embedder"):
            deployment["autoscaling_config"] |= {
                "target_ongoing_requests": 0.02, "look_back_period_s": 5, "upscale_delay_s": 6,
            }  # fmt: skip


def test_autoscaling_uses_both_gpus_and_search_stays_up() -> None:
    cluster = ProductionCluster(make_folder(), write_full_size_embedder, scale_early)
    with running(cluster, gpu_nodes=2) as shop, Searchers(cluster.url, shop) as searchers:
        shop.wait_until(
            lambda: all(cluster.count_running(name) >= 4 for name in ("Index", "Embedder")), 300
        )
        gpus = {one.address for one in cluster.replicas("Embedder") if one.state == "RUNNING"}
        nodes = cluster.nodes.nodes
        assert gpus == {nodes["gpu"].address, nodes["gpu-2"].address}
    print(f"\nscaled: {dict(searchers.answers)}")  # noqa: T201
    assert searchers.answers.keys() == {200} and not searchers.wrong
