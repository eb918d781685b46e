"""A decoder that hangs makes its deployment unhealthy, so that its replica is replaced."""

import asyncio
import threading
import warnings
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.serve import decoding
from deployments.serve.decoding import Decoders
from integrations.blobs.store import open_blob_store
from models.embedder import embedder
from models.embedder.embedder import EmbedderConfig
from models.segmenter import segmenter
from models.segmenter.parser import ParserConfig
from models.segmenter.shapes import SegmentPrompt
from models.tryon import pictures
from models.tryon.loading import TryOnConfig
from models.tryon.shapes import TryOnOrder, TryOnTicket
from settings import Settings
from tests.support.fakes import SECRET, picture

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray Serve uses what pydantic deprecates
    from deployments.embedder import Embedder, EmbedderArgs
    from deployments.segmenter import Segmenter, SegmenterArgs
    from deployments.tryon import TryOn, TryOnArgs

TINY_S = 0.25
"""Long enough for a busy machine to begin a decoding and to look at it before it is late."""

KEY = "uploads/a.png"


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """What a decoder waits for; set at the end, so that its thread ends too."""
    event = threading.Event()
    yield event
    event.set()


async def test_a_decoder_that_is_at_one_picture_too_long_fails_the_check(
    hanging: threading.Event,
) -> None:
    decoders = Decoders(2, most_s=TINY_S)
    stuck = asyncio.ensure_future(decoders.run(hanging.wait))
    assert await decoders.run(sum, (1, 2)) == 3
    decoders.check()
    await asyncio.sleep(2 * TINY_S)
    with pytest.raises(RuntimeError, match="on one picture"):
        decoders.check()
    hanging.set()
    await stuck
    decoders.check()


async def test_a_decoder_that_fails_is_free_again() -> None:
    decoders = Decoders(1, most_s=TINY_S)
    with pytest.raises(ZeroDivisionError):
        await decoders.run(lambda: 1 / 0)
    await asyncio.sleep(2 * TINY_S)
    decoders.check()


Served = tuple[Any, Coroutine[Any, Any, Any]]
"""A deployment, and a request that decodes a picture."""


def serve_embedder() -> Served:
    served = Embedder(EmbedderConfig(), EmbedderArgs(), None)  # type: ignore[arg-type]
    return served, served.embed_image(picture("green"))


def serve_segmenter() -> Served:
    served = Segmenter(ParserConfig(), None, SegmenterArgs())
    return served, served.segment(KEY, SegmentPrompt("person"), "masks/a.png")


def serve_tryon() -> Served:
    served = TryOn(TryOnConfig(ParserConfig()), TryOnArgs())
    return served, dress(served)


async def dress(served: TryOn) -> None:
    order = TryOnOrder(person_key=KEY, garment_key=KEY, mask_key=KEY, seed=1)
    async for _ in served.dress(order, TryOnTicket("tryon/a.png", 0.0)):
        pass


@pytest.mark.parametrize("serve", [serve_embedder, serve_segmenter, serve_tryon])
async def test_each_deployment_sees_its_decoder_hang(
    serve: Any, hanging: threading.Event, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(
        blob_url=f"file://{tmp_path}", jwt_secret=SECRET, public_url="http://studio.test"
    )
    await open_blob_store(settings).put(KEY, picture("green", (40, 40)), "image/png")
    for module in ("deployments.segmenter", "deployments.tryon"):
        monkeypatch.setattr(f"{module}.load_settings", lambda: settings)
    monkeypatch.setattr(decoding, "MOST_S", TINY_S)
    began = threading.Event()

    def hang(data: bytes, **_: Any) -> Any:
        began.set()
        hanging.wait()
        raise RuntimeError("the decoder was let go")

    monkeypatch.setattr(embedder, "decode_image", hang)
    monkeypatch.setattr(segmenter, "decode_cutout", hang)
    monkeypatch.setattr(pictures, "decode_image", hang)
    served, request = serve()
    await served.check_health()
    running = asyncio.ensure_future(request)
    assert await asyncio.to_thread(began.wait, 10)
    await asyncio.sleep(2 * TINY_S)
    with pytest.raises(RuntimeError, match="on one picture"):
        await served.check_health()
    hanging.set()
    with pytest.raises(RuntimeError, match="let go"):
        await running
