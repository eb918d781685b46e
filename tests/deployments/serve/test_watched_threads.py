"""A network that hangs makes its deployment unhealthy, so that its replica is replaced."""

import asyncio
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments.serve import watched_threads
from deployments.serve.watched_threads import WatchedThreads
from integrations.blobs.store import open_blob_store
from models.embedder.embedder import Embedder as EmbedderModel
from models.embedder.embedder import EmbedderConfig
from models.png import encode_png
from models.sales.regressor import Regressor as RegressorModel
from models.segmenter.parser import Parser, ParserConfig
from models.tryon import pipeline
from models.tryon.loading import TryOnConfig, square_shirt, stick_figure
from models.tryon.shapes import TryOnOrder, TryOnTicket
from settings import Settings
from tests.support.fakes import SECRET

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray Serve uses what pydantic deprecates
    from deployments.embedder import Embedder, EmbedderArgs
    from deployments.regressor import Regressor, RegressorArgs
    from deployments.segmenter import Segmenter, SegmenterArgs
    from deployments.tryon import TryOn, TryOnArgs

TINY_S = 0.25
"""Long enough for a busy machine to begin a step and to look at it before it is late."""
KEYS = "uploads/person.png", "uploads/garment.png", "masks/garment.png"


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """What a network waits for; set at the end, so that its thread ends too."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of deployments that allow a step TINY_S."""
    settings = Settings(
        blob_url=f"file://{tmp_path}", jwt_secret=SECRET, public_url="http://studio.test"
    )
    for module in ("regressor", "segmenter", "tryon"):
        monkeypatch.setattr(f"deployments.{module}.load_settings", lambda: settings)
    monkeypatch.setattr(watched_threads, "STEP_S", TINY_S)
    monkeypatch.setattr(watched_threads, "SLOWER", 0.0)
    return settings


async def test_a_step_may_take_some_times_as_long_as_the_slowest_so_far(
    hanging: threading.Event,
) -> None:
    thread = WatchedThreads(1, "model", "step", least_s=TINY_S, slower=1000.0)
    thread.submit(time.sleep, 0.01).result()
    stuck = thread.submit(hanging.wait)
    await asyncio.sleep(2 * TINY_S)
    thread.check()  # 10 s are allowed
    strict = WatchedThreads(1, "model", "step", least_s=TINY_S, slower=1.0)
    strict.submit(time.sleep, 0.01).result()
    strict.submit(hanging.wait)
    await asyncio.sleep(2 * TINY_S)
    with pytest.raises(RuntimeError, match=r"a model thread has worked on one step for 0\.\d s"):
        strict.check()
    hanging.set()
    assert stuck.result()


async def test_a_long_call_whose_steps_end_is_healthy(hanging: threading.Event) -> None:
    thread = WatchedThreads(1, "model", "step", least_s=2 * TINY_S)

    def work() -> None:
        while not hanging.wait(TINY_S / 5):
            thread.beat()

    running = thread.submit(work)
    for _ in range(5):
        await asyncio.sleep(TINY_S)
        thread.check()
    hanging.set()
    running.result()
    thread.check()


def serve_embedder() -> tuple[Any, type, str]:
    return Embedder(EmbedderConfig(), EmbedderArgs(), None), EmbedderModel, "embed_texts"  # type: ignore[arg-type]


def serve_segmenter() -> tuple[Any, type, str]:
    return Segmenter(ParserConfig(), None, SegmenterArgs()), Parser, "probabilities"


def serve_regressor() -> tuple[Any, type, str]:
    return Regressor(RegressorArgs()), RegressorModel, "predict"


@pytest.mark.parametrize("serve", [serve_embedder, serve_segmenter, serve_regressor])
async def test_each_deployment_sees_its_network_hang(
    serve: Any, hanging: threading.Event, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, network, method = serve()
    await served.check_health()
    began = hang_at(monkeypatch, hanging, network, method)
    first = asyncio.ensure_future(served.check_health())
    assert await asyncio.to_thread(began.wait, 10)
    await asyncio.sleep(2 * TINY_S)
    with pytest.raises(RuntimeError, match="on one step"):
        await served.check_health()
    hanging.set()
    with pytest.raises(RuntimeError, match="let go"):
        await first


async def test_a_try_on_that_hangs_makes_its_replica_unhealthy(
    hanging: threading.Event, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check used to look only where nobody waited, which a try-on that hangs always does."""
    await store_pictures(settings)
    served = TryOn(TryOnConfig(ParserConfig()), TryOnArgs())
    began = hang_at(monkeypatch, hanging, pipeline, "compose")
    running = asyncio.ensure_future(dress(served))
    assert await asyncio.to_thread(began.wait, 10)
    await asyncio.sleep(2 * TINY_S)
    with pytest.raises(RuntimeError, match="on one step"):
        await served.check_health()
    hanging.set()
    with pytest.raises(RuntimeError, match="let go"):
        await running
    monkeypatch.undo()
    await served.check_health()


def hang_at(
    monkeypatch: pytest.MonkeyPatch, hanging: threading.Event, owner: Any, name: str
) -> threading.Event:
    """Replaces a function by one that hangs; returns the event of its first call."""
    began = threading.Event()

    def hang(*_: Any, **__: Any) -> Any:
        began.set()
        hanging.wait()
        raise RuntimeError("the network was let go")

    monkeypatch.setattr(owner, name, hang)
    return began


async def store_pictures(settings: Settings) -> None:
    """A person, a garment and its mask."""
    garment, mask = square_shirt()
    pictures = (stick_figure()[0], garment, np.where(mask, 255, 0).astype(np.uint8))
    for key, pixels in zip(KEYS, pictures, strict=True):
        await open_blob_store(settings).put(key, encode_png(pixels), "image/png")


async def dress(served: TryOn) -> None:
    order = TryOnOrder(person_key=KEYS[0], garment_key=KEYS[1], mask_key=KEYS[2], category="upper")
    async for _ in served.dress(order, TryOnTicket("tryon/a.png", 0.0)):
        pass
