"""`TryOn`: dresses people, one at a time; reads and writes the blob store itself."""

import asyncio
import io
import threading
import time
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deployments.listening import listen_privately
from deployments.log_files import log_to_worker_files
from deployments.turns import Turns
from errors import CancelRequested, StudioError
from integrations.blob import open_blob_store
from models.images import decode_image
from models.tryon.loading import TryOnConfig, check_pipeline, load_pipeline
from models.tryon.pipeline import Asked, Dressed
from settings import Settings
from studio.ports import TryOnLoad, TryOnMade, TryOnOrder, TryOnStep

SIGN_OF_LIFE_S = 3.0
PNG_LEVEL = 1
"""zlib's fastest: the others take many times longer for a few hundredths of the bytes."""


@dataclass(frozen=True)
class TryOnArgs:
    """Capacity of one replica, and what callers may ask for directly.

    max_waiting: try-ons that may wait. direct_waiting: so many wait, and `auto` makes a job.
    direct_pixels: larger pictures become a job.
    """

    max_waiting: int = 8
    direct_waiting: int = 2
    direct_pixels: int = 6_000_000
    threads: int = 1


class TryOn:
    """The model has one thread; reading, decoding and writing have another."""

    def __init__(self, settings: Settings, config: TryOnConfig, args: TryOnArgs) -> None:
        listen_privately()
        log_to_worker_files()
        self._args = args
        self._blobs = open_blob_store(settings)
        self._pipeline = load_pipeline(config)
        check_pipeline(self._pipeline)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._codec = ThreadPoolExecutor(1, thread_name_prefix="codec")
        self._turns = Turns(args.max_waiting)

    async def dress(self, order: TryOnOrder) -> AsyncGenerator[TryOnStep | TryOnMade, None]:
        """See `studio.ports.TryOn.dress`."""
        told: asyncio.Queue[TryOnStep] = asyncio.Queue()
        gone = threading.Event()
        work = asyncio.ensure_future(self._dress(order, told, gone))
        last = TryOnStep(0, 1, "waiting")
        try:
            while not work.done():
                step = asyncio.ensure_future(told.get())
                await asyncio.wait(
                    {work, step}, timeout=SIGN_OF_LIFE_S, return_when=asyncio.FIRST_COMPLETED
                )
                if step.done():
                    last = step.result()
                else:
                    step.cancel()
                if not work.done():
                    yield last
            yield work.result()
        finally:
            gone.set()
            work.cancel()

    async def load(self) -> TryOnLoad:
        """See `studio.ports.TryOn.load`."""
        return TryOnLoad(
            self._turns.waiting,
            self._args.direct_waiting,
            self._args.direct_pixels,
            self._pipeline.version,
        )

    async def check_health(self) -> None:
        """Dresses a drawn person where nobody waits; a long try-on is no reason to restart."""
        if self._turns.waiting == 0:
            await self._in(self._thread, check_pipeline, self._pipeline)

    async def _dress(
        self, order: TryOnOrder, told: "asyncio.Queue[TryOnStep]", gone: threading.Event
    ) -> TryOnMade:
        loop = asyncio.get_running_loop()

        def on_progress(done: int, total: int, message: str) -> None:
            if gone.is_set():
                raise CancelRequested("nobody waits for this try-on any more")
            loop.call_soon_threadsafe(told.put_nowait, TryOnStep(done, total, message))

        queued_s = time.perf_counter()
        async with self._turns.take(order.accepted_s):
            started_s = time.perf_counter()
            pictures = await self._read(order)
            read_s = time.perf_counter()
            running = self._in(self._thread, self._run, pictures, order, on_progress)
            dressed = await _to_its_end(running)
        encoded_s = time.perf_counter()
        await self._write(order.output_key, dressed)
        timings = {
            "queueMs": started_s - queued_s,
            "readMs": read_s - started_s,
            "writeMs": time.perf_counter() - encoded_s,
        }
        return TryOnMade(
            dressed.category,
            dressed.picture.width,
            dressed.picture.height,
            list(dressed.steps),
            {name: round(value * 1000, 2) for name, value in timings.items()} | dressed.timings_ms,
            self._pipeline.version,
        )

    async def _read(self, order: TryOnOrder) -> tuple[Image.Image, Image.Image, NDArray[np.bool_]]:
        keys = {
            "personUrl": order.person_key,
            "garmentUrl": order.garment_key,
            "maskUrl": order.mask_key,
        }
        blobs = await asyncio.gather(*(self._blobs.get(key) for key in keys.values()))
        decoded = [
            await self._in(self._codec, _decoded, name, data)
            for name, data in zip(keys, blobs, strict=True)
        ]
        return decoded[0], decoded[1], np.asarray(decoded[2].convert("L")) > 127

    def _run(
        self,
        pictures: tuple[Image.Image, Image.Image, NDArray[np.bool_]],
        order: TryOnOrder,
        on_progress: Any,
    ) -> Dressed:
        asked: Any = Asked(order.category, order.quality, order.seed, order.steps)  # type: ignore[arg-type]
        return self._pipeline.dress(*pictures, asked, on_progress)

    async def _write(self, key: str, dressed: Dressed) -> None:
        data = await self._in(self._codec, _encoded, dressed.picture)
        await self._blobs.put(key, data, "image/png")

    async def _in(self, pool: ThreadPoolExecutor, function: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(pool, function, *args)


async def _to_its_end(running: Any) -> Dressed:
    """Waits for the model's thread even where the caller leaves: the next one needs it."""
    task = asyncio.ensure_future(running)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # the step that noticed; nobody is left to hear of it
        raise


def _decoded(name: str, data: bytes) -> Image.Image:
    """Raises:
    StudioError: the picture can't be used; the message names the field.
    """
    try:
        return decode_image(data)
    except StudioError as error:
        raise type(error)(f"{name}: {error.detail}") from None


def _encoded(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=PNG_LEVEL)
    return buffer.getvalue()
