"""Replicas with the starter's networks drop what nobody waits for, before a network runs it."""

import asyncio
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from errors import DeadlinePassed, NotFound
from integrations.blobs.store import open_blob_store
from models.segmenter import segmenter
from models.segmenter.parser import ParserConfig
from models.segmenter.shapes import SegmentAnswer, SegmentPrompt
from models.tryon import pipeline
from models.tryon.loading import TryOnConfig
from models.tryon.shapes import TryOnOrder, TryOnTicket
from settings import Settings
from studio.context import Deadline
from tests.support.fakes import SECRET, picture

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray Serve uses what pydantic deprecates
    from deployments.segmenter import Segmenter, SegmenterArgs
    from deployments.tryon import TryOn, TryOnArgs

KEYS = [f"uploads/{number}.png" for number in range(3)]
SHORT_S = 0.1


@pytest.fixture
async def blobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    settings = Settings(
        blob_url=f"file://{tmp_path}", jwt_secret=SECRET, public_url="http://studio.test"
    )
    for module in ("deployments.segmenter", "deployments.tryon"):
        monkeypatch.setattr(f"{module}.load_settings", lambda: settings)
    store = open_blob_store(settings)
    for key in KEYS:
        await store.put(key, picture("green", (40, 40)), "image/png")
    return store


@pytest.fixture
def is_free() -> Iterator[threading.Event]:
    """What the network waits for; set at the end, so that its thread ends too."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch, is_free: threading.Event) -> list[int]:
    """The sizes of the batches that the Segmenter's network has encoded."""
    sizes: list[int] = []
    encode = segmenter.Segmenter.encode

    def encode_slowly(model: Any, batch: Any) -> Any:
        sizes.append(len(batch))
        is_free.wait(30)
        return encode(model, batch)

    monkeypatch.setattr(segmenter.Segmenter, "encode", encode_slowly)
    return sizes


def ask(replica: Segmenter, key: str, **options: Any) -> "asyncio.Task[SegmentAnswer]":
    """A prompt, with whatever answer the picture of one colour gets."""
    prompt = SegmentPrompt("garment")
    return asyncio.ensure_future(replica.segment(key, prompt, "masks/a.png", **options))


async def until_waiting(replica: Segmenter, count: int) -> None:
    while len(replica._pictures._waiting) != count:  # noqa: ASYNC110 - the test's limit ends it
        await asyncio.sleep(0.005)


async def test_a_picture_that_nobody_waits_for_is_not_encoded(
    blobs: Any, encoded: list[int], is_free: threading.Event
) -> None:
    is_free.set()
    replica = Segmenter(ParserConfig(), None, SegmenterArgs())
    encoded.clear()
    is_free.clear()
    first = ask(replica, KEYS[0])
    while not encoded:  # noqa: ASYNC110 - the network's thread changes it
        await asyncio.sleep(0.005)
    late, leaving = ask(replica, KEYS[1], deadline=Deadline.after(SHORT_S)), ask(replica, KEYS[1])
    await until_waiting(replica, 1)  # they share the encoding of one picture
    with pytest.raises(DeadlinePassed):
        await late
    await until_waiting(replica, 1)  # one of its callers still waits
    leaving.cancel()
    await asyncio.wait({leaving})
    staying = ask(replica, KEYS[2])
    again = ask(replica, KEYS[1])
    await until_waiting(replica, 3)  # among them the entry that is dropped
    again.cancel()
    await asyncio.wait({again})
    is_free.set()
    await asyncio.gather(first, staying, return_exceptions=True)
    assert encoded == [1, 1]
    (outcome,) = await asyncio.gather(ask(replica, KEYS[1]), return_exceptions=True)
    assert encoded == [1, 1, 1] and not isinstance(outcome, asyncio.CancelledError)


async def test_a_late_try_on_takes_no_turn(blobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    replica = TryOn(TryOnConfig(ParserConfig()), TryOnArgs())
    runs: list[str] = []
    monkeypatch.setattr(pipeline.TryOnPipeline, "parse_person", lambda *_: runs.append("parse"))
    order = TryOnOrder(person_key=KEYS[0], garment_key=KEYS[1], mask_key=KEYS[2], seed=1)

    async def dress(deadline: Deadline) -> None:
        async for _ in replica.dress(order, TryOnTicket("tryon/a.png", 0.0), deadline):
            pass

    async with replica._turns.take(0.0):
        with pytest.raises(DeadlinePassed):
            await dress(Deadline.after(SHORT_S))
        assert replica._turns.waiting == 1
    with pytest.raises(DeadlinePassed):
        await dress(Deadline.after(-1))
    assert replica._turns.waiting == 0 and runs == []
    with pytest.raises(NotFound):
        await blobs.get("tryon/a.png")
