"""TryOn paints what waits together in one batch, and tells each caller about its own try-on."""

import asyncio
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from integrations.blobs.store import open_blob_store
from models.png import encode_png
from models.segmenter.parser import ParserConfig
from models.tryon.loading import TryOnConfig, square_shirt, stick_figure
from models.tryon.painter import CompositePainter, Painting, Scene
from models.tryon.shapes import TryOnOrder, TryOnResult, TryOnStep, TryOnTicket
from settings import Settings
from tests.models.tryon.support import FixedParser
from tests.support.fakes import SECRET

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray Serve uses what pydantic deprecates
    from deployments.tryon import TryOn, TryOnArgs

KEYS = "uploads/person.png", "uploads/garment.png", "masks/garment.png"
ORDER = TryOnOrder(person_key=KEYS[0], garment_key=KEYS[1], mask_key=KEYS[2], category="upper")


class BatchPainter(CompositePainter):
    """A composite painter that takes three scenes at a time, and waits before its first call."""

    max_batch = 3

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.began, self.may_go_on = threading.Event(), threading.Event()

    def paint(self, scenes: Sequence[Scene]) -> list[Painting | Exception]:
        self.sizes.append(len(scenes))
        self.began.set()
        self.may_go_on.wait(30)
        return super().paint(scenes)


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch) -> BatchPainter:
    painter = BatchPainter()
    monkeypatch.setattr("models.tryon.loading.load_painter", lambda _: painter)
    monkeypatch.setattr("deployments.tryon.check_pipeline", lambda _: None)
    return painter


@pytest.fixture
async def tryon(painter: BatchPainter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TryOn:
    settings = Settings(
        blob_url=f"file://{tmp_path}", jwt_secret=SECRET, public_url="http://studio.test"
    )
    monkeypatch.setattr("deployments.tryon.load_settings", lambda: settings)
    garment, mask = square_shirt()
    pictures = (stick_figure()[0], garment, np.where(mask, 255, 0).astype(np.uint8))
    for key, pixels in zip(KEYS, pictures, strict=True):
        await open_blob_store(settings).put(key, encode_png(pixels), "image/png")
    tryon = TryOn(TryOnConfig(ParserConfig()), TryOnArgs())
    tryon._pipeline.parser = FixedParser(stick_figure()[1])
    return tryon


async def dress(tryon: TryOn, number: int) -> list[TryOnStep | TryOnResult]:
    ticket = TryOnTicket(f"tryon/{number}.png", float(number), f"owner-{number}")
    return [step async for step in tryon.dress(ORDER, ticket)]


async def waiting_at(tryon: TryOn, count: int) -> None:
    """Waits until this many try-ons are ready to be painted, at most 30 s."""
    for _ in range(3000):
        if sum(len(painter._waiting) for painter in tryon._painters.values()) == count:
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


async def test_try_ons_that_wait_together_are_one_batch(
    tryon: TryOn, painter: BatchPainter
) -> None:
    running = [asyncio.ensure_future(dress(tryon, number)) for number in range(4)]
    assert await asyncio.to_thread(painter.began.wait, 30)
    await waiting_at(tryon, 2)
    assert (await tryon.load()).waiting == 4
    painter.may_go_on.set()
    results = await asyncio.gather(*running)
    assert painter.sizes[:2] == [1, 2] and sum(painter.sizes) == 4
    for steps in results:
        assert isinstance(steps[-1], TryOnResult)
        assert isinstance(steps[0], TryOnStep) and steps[0].message in ("waiting", "parse")
    pictures = {await tryon._blobs.get(f"tryon/{number}.png") for number in range(4)}
    assert len(pictures) == 1 and (await tryon.load()).waiting == 0


async def test_a_caller_who_leaves_is_not_painted(tryon: TryOn, painter: BatchPainter) -> None:
    first = asyncio.ensure_future(dress(tryon, 0))
    assert await asyncio.to_thread(painter.began.wait, 30)
    second, third = (asyncio.ensure_future(dress(tryon, number)) for number in (1, 2))
    await waiting_at(tryon, 2)
    second.cancel()
    await asyncio.wait({second})
    painter.may_go_on.set()
    await asyncio.gather(first, third)
    assert painter.sizes == [1, 1] and (await tryon.load()).waiting == 0
