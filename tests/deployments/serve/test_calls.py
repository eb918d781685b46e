"""Searches in one call: what one replica has not loaded is asked of another one, once."""

import asyncio
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from errors import DeadlinePassed, Invalid, NotLoaded, StudioError, Unavailable
from studio.context import Deadline, Origin, current_origin, within

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray Serve's own, of what it imports
    from deployments.serve import calls
    from deployments.serve.calls import CHOICES, HandleArgs, search_in_batches

Answer = str | StudioError


def unloaded(replica: str) -> NotLoaded:
    error = NotLoaded("the search index is loading")
    error.replica = replica
    return error


class Replicas:
    """A handle whose `search` goes to the replica of the shortest queue, as Serve's does."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.queues = {"empty": 0, "busy": 3}
        self.calls: list[tuple[str, list[str]]] = []
        self.search = SimpleNamespace(
            remote=lambda queries: self.answer("empty", queries),
            choose_replica=self.choose_replica,
            dispatch=lambda choice, queries: self.answer(choice.replica_id, queries),
        )

    async def answer(self, replica: str, queries: list[str]) -> list[Answer]:
        self.calls.append((replica, queries))
        return [
            f"{replica} {query}" if query == "loaded" else self.answers[replica]
            for query in queries
        ]

    @asynccontextmanager
    async def choose_replica(self, _: list[str]) -> AsyncIterator[Any]:
        replica = min(self.queues, key=self.queues.__getitem__)
        self.queues[replica] += 1
        yield SimpleNamespace(replica_id=replica)
        self.queues[replica] -= 1


async def ask(replicas: Replicas, query: str) -> Answer:
    def origin_of(_: str) -> Origin:
        return current_origin()

    handle: Any = replicas
    return await search_in_batches("Index", handle, HandleArgs(), origin_of).submit(query)


async def test_another_replica_answers_although_its_queue_is_longer() -> None:
    replicas = Replicas(empty=unloaded("empty"), busy="an answer")
    assert await ask(replicas, "query") == "an answer"
    assert [replica for replica, _ in replicas.calls] == ["empty", "busy"]
    assert replicas.queues == {"empty": 0, "busy": 3}


async def test_a_second_empty_replica_is_the_end() -> None:
    replicas = Replicas(empty=unloaded("empty"), busy=unloaded("busy"))
    with pytest.raises(Unavailable, match="is loading") as raised:
        await ask(replicas, "query")
    assert type(raised.value) is Unavailable  # its caller would ask yet another one otherwise
    assert len(replicas.calls) == 2


async def test_without_another_replica_it_is_unavailable() -> None:
    replicas = Replicas(empty=unloaded("empty"))
    replicas.queues = {"empty": 0}
    with pytest.raises(Unavailable):
        await ask(replicas, "query")
    assert len(replicas.calls) == 1 < CHOICES
    assert replicas.queues == {"empty": 0}


@pytest.mark.parametrize("error", [Invalid("bad"), Unavailable("saturated")])
async def test_other_errors_are_not_asked_again(error: StudioError) -> None:
    replicas = Replicas(empty=error, busy="an answer")
    with pytest.raises(type(error), match=error.detail):
        await ask(replicas, "query")
    assert len(replicas.calls) == 1


async def test_answers_of_the_first_replica_stay() -> None:
    replicas = Replicas(empty=unloaded("empty"), busy="an answer")
    assert await ask(replicas, "loaded") == "empty loaded"
    assert replicas.calls == [("empty", ["loaded"])]


class Silent:
    """A method of a deployment with so many replicas, none of which answers."""

    def __init__(self, replicas: int) -> None:
        requests = SimpleNamespace(curr_replicas=dict.fromkeys(range(replicas)))
        self._router = SimpleNamespace(_asyncio_router=SimpleNamespace(request_router=requests))

    async def remote(self, *_: object, **__: object) -> None:
        await asyncio.Event().wait()


async def call_alone(silent: Any) -> None:
    await calls.call("TryOn", silent)


async def call_in_a_batch(silent: Any) -> None:
    """Batches run in a context of their own, and serve the queries of several callers."""
    handle: Any = SimpleNamespace(search=silent)
    origin = current_origin()

    def origin_of(_: str) -> Origin:
        return origin

    await search_in_batches("Embedder", handle, HandleArgs(), origin_of).submit("query")


@pytest.mark.parametrize("call", [call_alone, call_in_a_batch])
@pytest.mark.parametrize(
    ("replicas", "is_request", "error"),
    [(0, True, Unavailable), (0, False, Unavailable), (1, True, DeadlinePassed)],
)
async def test_a_request_does_not_wait_long_for_a_deployment_without_a_replica(
    monkeypatch: pytest.MonkeyPatch, call: Callable[[Any], Awaitable[None]],
    replicas: int, is_request: bool, error: type[StudioError],
) -> None:  # fmt: skip
    """A job waits as long as for an answer: its attempts are few, and a replica may be loading."""
    monkeypatch.setattr(calls, "PATIENCE_S", 0.05)
    monkeypatch.setattr(calls, "DEADLINE_S", 0.6)
    started_s = time.monotonic()
    with pytest.raises(error):
        async with within(Deadline.after(5) if is_request else None):
            await call(Silent(replicas))
    assert (time.monotonic() - started_s < 0.6) == (error is Unavailable and is_request)
