"""The production profile as shipped: it starts, answers every route, grows, loses a node.

The long forms are in tests/proof: test_production.py (nodes and the head under load, autoscaling
over two GPUs), test_kills.py (every part), test_index_scaling.py (a slow blob store).
"""

import io
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.production.conftest import PRODUCTS
from tests.support.production.cluster import ProductionCluster
from tests.support.production.nodes import CPU
from tests.support.production.searchers import Searchers
from tests.support.production.shop import Shop

pytestmark = pytest.mark.timeout(600)

REPLICAS = {
    "Gateway": 2, "Embedder": 1, "TryOn": 1, "Index": 2, "Segmenter": 1, "Regressor": 1,
    "Dispatcher": 2,
}  # fmt: skip

INDEX_REPLICAS = REPLICAS["Index"] + 1


def ask(shop: Shop, path: str, role: str = "customer") -> httpx.Response:
    return shop.http.get(path, headers=shop.people[role])


# Slow: the production profile starts on three nodes.
def test_every_deployment_runs_on_one_gpu(production: ProductionCluster) -> None:
    replicas = production.replicas()
    running = [one for one in replicas if one.state == "RUNNING"]
    counts = {name: sum(one.deployment == name for one in running) for name in REPLICAS}
    assert counts == REPLICAS
    assert production.nodes.nodes["head"].address not in {one.address for one in running}
    assert len({one.address for one in running if one.deployment == "Gateway"}) == 2


# Slow: the first products are written, and a re-index has begun before it.
def test_searches_by_text_photo_and_both(shop: Shop, reindex: str) -> None:
    # The re-index loads its model beside the others: a look at a service may be late meanwhile.
    shop.wait_until(lambda: ask(shop, "/api/health").json()["status"] == "ok", 120)
    assert shop.find_by_text()["results"]
    file_id = shop.pictures["product"][0]
    words: dict[str, dict[str, Any]] = {
        "image": {},
        "hybrid": {"query": "dress", "alpha": 0.9, "words": 0, "understand": False},
    }
    for path, body in words.items():
        answer = shop.post(f"/api/search/{path}", fileId=file_id, topK=5, **body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["results"][0]["id"] == "p-3"
    similar = shop.http.get("/api/search/similar/p-3", headers=shop.people["customer"])
    assert similar.status_code == 200 and similar.json()["results"]


def test_a_person_is_cut_out_and_dressed(shop: Shop, reindex: str) -> None:
    cutout = shop.post("/api/cv/segmentation", fileId=shop.pictures["person"][0], target="person")
    assert cutout.status_code == 200, cutout.text
    direct = shop.tryon("sync", steps=1)
    assert direct.status_code == 200, direct.text
    queued = shop.tryon("queued", steps=1)
    assert queued.status_code == 202, queued.text
    job = shop.finish(queued.json()["jobId"], "customer")
    pictures = [read_picture(url["outputUrl"]) for url in (direct.json(), job["result"])]
    assert pictures[0].shape == (512, 384, 3)
    np.testing.assert_array_equal(pictures[0], pictures[1])


def read_picture(url: str) -> NDArray[np.uint8]:
    answer = httpx.get(url, timeout=60)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_files_jobs_and_what_production_does_not_have_yet(shop: Shop) -> None:
    assert len(ask(shop, "/api/files").json()["items"]) == 3
    assert ask(shop, "/api/jobs", "admin").json()["items"]
    # No regressor is trained on this embedder's vectors: the answer says what to do.
    score = shop.post("/api/analytics/predict", "merchant", productId="p-3")
    assert score.status_code == 409 and "/api/analytics/train" in score.json()["detail"]
    order: dict[str, Any] = {"amount": {"value": "3.00", "currency": "EUR"}, "returnUrl": "https://shop.example.com/",
             "cancelUrl": "https://shop.example.com/"}  # fmt: skip
    payment = shop.post("/api/paypal/orders", **order)
    assert payment.status_code == 503 and "not set up" in payment.json()["detail"]


def test_the_reindex_ran_beside_all_of_it_on_the_same_gpu(
    production: ProductionCluster, shop: Shop, reindex: str
) -> None:
    result = shop.finish(reindex)["result"]
    assert (result["embedded"], result["failed"]) == (PRODUCTS, 0)
    shop.wait_until(lambda: shop.find_by_text()["indexVersion"] == result["version"])
    assert all(one.state == "RUNNING" for one in production.replicas())


def test_index_grows_under_load_and_no_search_fails(
    production: ProductionCluster, shop: Shop
) -> None:
    with Searchers(production.url, shop) as searchers:
        production.deploy(grow_index)  # as an operator scales by hand
        shop.wait_until(lambda: production.count_running("Index") == INDEX_REPLICAS, 120)
        count = searchers.answers[200]
        shop.wait_until(lambda: searchers.answers[200] > count + 100)
    assert searchers.answers.keys() == {200} and not searchers.wrong


def grow_index(schema: dict[str, Any]) -> None:
    for deployment in schema["applications"][0]["deployments"]:
        if deployment["name"] == "Index":
            deployment["autoscaling_config"]["min_replicas"] = INDEX_REPLICAS


# Slow: Ray notices the lost node only after some seconds.
def test_another_node_takes_over(production: ProductionCluster, shop: Shop) -> None:
    before = shop.find_by_text()["results"]
    production.nodes.kill("cpu")
    production.nodes.add("cpu-2", CPU)  # as the autoscaler does
    shop.wait_until(lambda: shop.find_by_text()["results"] == before, 120)
    assert shop.tryon("sync", steps=1).status_code == 200
    shop.finish(shop.tryon("queued", steps=1).json()["jobId"], "customer")
    production.await_running()
    assert ask(shop, "/api/health").json()["status"] == "ok"
