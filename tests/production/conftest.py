"""One production cluster for all tests of this folder."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.production.cluster import ProductionCluster, make_folder
from tests.support.production.shop import Shop

PRODUCTS = 12
BULK_MODEL = "EmbedPictures"
"""The class whose actors embed the pictures of a large re-index."""


@pytest.fixture(scope="session")
def production() -> Iterator[ProductionCluster]:
    """serve_config.yaml as shipped, on a head, a GPU node and a CPU node."""
    cluster = ProductionCluster(make_folder())
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.end()


@pytest.fixture(scope="session")
def shop(production: ProductionCluster) -> Iterator[Shop]:
    """A shop with products and pictures."""
    with httpx.Client(base_url=production.url, timeout=60) as http:
        shop = Shop(http)
        shop.open(PRODUCTS)
        shop.send_pictures()
        yield shop


@pytest.fixture(scope="session")
def reindex(production: ProductionCluster, shop: Shop) -> str:
    """The id of a re-index whose model has its share of the GPU."""
    job_id = shop.queue("rebuild-index", full=True)
    shop.wait_until(lambda: BULK_MODEL in production.actors())
    return job_id
