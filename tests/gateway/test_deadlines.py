"""`X-Request-Deadline-Ms` bounds the work of all hops; nothing is computed for who has left."""

import asyncio
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from db.engine import AsyncSession
from gateway.deadline import HEADER, MAX_MS
from models.embedder import embedder as model
from models.index.files import empty_files
from models.index.product_index import ProductIndex
from studio.context import current_deadline
from studio.ports import Studio
from tests.gateway.resources import open_account
from tests.support.fakes import ANY_ATTRIBUTES, open_client
from tests.support.local_replicas import LocalHandle, LocalIndex

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray Serve uses what pydantic deprecates
    from deployments.embedder import Embedder, EmbedderArgs
    from deployments.handles import EmbedderHandle

SHORT = {HEADER: "100"}


class SlowNetwork:
    """An Embedder replica whose network waits until it is released; records its texts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_free, self.has_begun = threading.Event(), threading.Event()
        self.is_free.set()
        self.texts: list[str] = []
        embed = model.Embedder.embed_texts

        def embed_slowly(network: model.Embedder, texts: Sequence[str]) -> NDArray[np.float32]:
            self.texts += texts
            self.has_begun.set()
            self.is_free.wait(30)
            return embed(network, texts)

        monkeypatch.setattr(model.Embedder, "embed_texts", embed_slowly)
        index = LocalIndex()
        self.replica = Embedder(
            model.EmbedderConfig(), EmbedderArgs(max_batch=4), cast(Any, LocalHandle(index))
        )
        network = self.replica._model
        index.version, index.products = network.version, ProductIndex(empty_files(network.dim))
        index.products.put("a-dress", np.ones(network.dim, np.float16), ANY_ATTRIBUTES)
        self.texts.clear()
        self.has_begun.clear()
        self.is_free.clear()

    @property
    def waiting(self) -> int:
        """How many texts wait for the network."""
        return len(self.replica._texts._waiting)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowNetwork]:
    slow = SlowNetwork(monkeypatch)
    yield slow
    slow.is_free.set()


@pytest.fixture
async def slow(studio: Studio, network: SlowNetwork) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a Gateway whose Embedder is the slow one."""
    handle = EmbedderHandle(cast(Any, LocalHandle(network.replica)))
    async with open_client(replace(studio, embedder=handle)) as client:
        yield client


async def until(is_so: Callable[[], bool]) -> None:
    """Looks often; a test's own time limit ends what never comes."""
    while not is_so():  # noqa: ASYNC110 - others change it
        await asyncio.sleep(0.005)


async def ask(client: httpx.AsyncClient, query: str, **headers: str) -> httpx.Response:
    return await client.post("/api/search/text", json={"query": query}, headers=headers)


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "soon", "", str(MAX_MS + 1), "9" * 99, "1, 2"])
async def test_a_wrong_deadline_is_named(client: httpx.AsyncClient, value: str) -> None:
    answer = await client.get("/api/health/live", headers={HEADER: value})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    (error,) = answer.json()["errors"]
    assert (error["in"], error["path"]) == ("header", f"/{HEADER}") and str(MAX_MS) in error[
        "detail"
    ]


async def test_two_deadlines_are_refused(client: httpx.AsyncClient) -> None:
    twice = [(HEADER, "5"), (HEADER, "9000")]
    assert (await client.get("/api/health/live", headers=twice)).status_code == 422


@pytest.mark.parametrize("value", ["1000", str(MAX_MS)])
async def test_a_request_in_time_is_served(client: httpx.AsyncClient, value: str) -> None:
    assert (await client.get("/api/health/live", headers={HEADER: value})).status_code == 200


async def test_the_network_never_sees_who_ran_out_or_left(
    slow: httpx.AsyncClient, network: SlowNetwork
) -> None:
    first = asyncio.create_task(ask(slow, "a first dress"))
    await until(network.has_begun.is_set)  # so that what follows has to wait
    late = await ask(slow, "a late dress", **SHORT)
    assert late.status_code == 504
    assert late.json()["type"].endswith("deadline-passed")
    leaving = asyncio.create_task(ask(slow, "a dress of somebody who leaves"))
    patient = asyncio.create_task(ask(slow, "a patient dress"))
    await until(lambda: network.waiting == 2)
    leaving.cancel()
    await asyncio.wait({leaving})
    network.is_free.set()
    answers = await asyncio.gather(first, patient)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert network.texts == ["a first dress", "a patient dress"]


async def test_a_route_has_a_deadline_of_its_own(
    slow: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.deadline.ROUTE_LIMITS_S", {"search": 0.1})
    assert (await ask(slow, "a dress")).status_code == 504
    assert (await ask(slow, "a dress", **{HEADER: str(MAX_MS)})).status_code == 504


async def test_a_batch_is_bounded_by_none_of_its_callers(
    slow: httpx.AsyncClient, network: SlowNetwork
) -> None:
    """Searches share calls; the deadline of one is not that of the others."""
    asks = [ask(slow, "first", **SHORT), *(ask(slow, f"dress {number}") for number in range(8))]
    tasks = [asyncio.create_task(one) for one in asks]
    assert (await tasks[0]).status_code == 504
    network.is_free.set()
    assert {(await task).status_code for task in tasks[1:]} == {200}


async def test_an_accepted_write_is_reported(
    client: httpx.AsyncClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its deadline passes during the commit."""
    account = await open_account(client, studio, "customer")
    commit, has_passed = AsyncSession.commit, False

    async def commit_late(session: AsyncSession) -> None:
        nonlocal has_passed
        if (deadline := current_deadline()) is not None:
            await asyncio.sleep(deadline.remaining_s + 0.01)
            has_passed = True
        await commit(session)

    monkeypatch.setattr(AsyncSession, "commit", commit_late)
    body = {"filename": "a.png", "contentType": "image/png", "sizeBytes": 9, "purpose": "selfie"}
    headers = account.headers | {HEADER: "2000"}
    answer = await client.post("/api/files/presign", json=body, headers=headers)
    assert answer.status_code == 201 and has_passed
    files = (await client.get("/api/files", headers=account.headers)).json()["items"]
    assert [file["id"] for file in files] == [answer.json()["fileId"]]


async def test_the_document_describes_the_header_once(client: httpx.AsyncClient) -> None:
    text = (await client.get("/api/openapi.json")).text
    assert text.count(f'"name":"{HEADER}"') == 1
    document = (await client.get("/api/openapi.json")).json()
    reference = {"$ref": "#/components/parameters/RequestDeadline"}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert reference in operation["parameters"], (method, path)
