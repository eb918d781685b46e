"""`TryOn`: dresses people, one at a time; reads and writes the blob store itself."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from PIL import Image

from deployments.serve.decoding import Decoders
from deployments.serve.replica import Replica, replica_device
from deployments.serve.turns import Turns
from errors import CancelRequested, StudioError
from integrations.blobs.store import open_blob_store
from models.images import decode_image
from models.png import encode_png
from models.tryon.loading import TryOnConfig, check_pipeline, load_pipeline
from models.tryon.outline import Mask
from models.tryon.pipeline import Asked, Dressed, OnProgress, Seen
from settings import load_settings
from studio.ports import TryOnLoad, TryOnMade, TryOnOrder, TryOnStep

SIGN_OF_LIFE_S = 3.0
MIDDLE = 127
"""A mask is on where it is brighter."""
Lying = tuple[Image.Image, Mask]
"""A garment and where it is in its picture."""
Result = TypeVar("Result")


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


class TryOn(Replica):
    """The model has one thread; reading, decoding and writing have another."""

    def __init__(self, config: TryOnConfig, args: TryOnArgs) -> None:
        self._args = args
        self._blobs = open_blob_store(load_settings())
        device = replica_device()
        parser = replace(config.parser, device=device, max_batch=1, threads=args.threads)
        painter = replace(config.painter, device=device)
        self._pipeline = load_pipeline(replace(config, parser=parser, painter=painter))
        check_pipeline(self._pipeline)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._codec = Decoders(1, name="codec")
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
        """Dresses a drawn person where nobody waits; a long try-on is no reason to restart, a
        picture that is decoded for long is.
        """
        self._codec.check()
        if self._turns.waiting == 0:
            await self._in_model(check_pipeline, self._pipeline)

    async def _dress(
        self, order: TryOnOrder, told: "asyncio.Queue[TryOnStep]", gone: threading.Event
    ) -> TryOnMade:
        loop = asyncio.get_running_loop()

        def on_progress(done: int, total: int, message: str) -> None:
            if gone.is_set():
                raise CancelRequested("nobody waits for this try-on any more")
            loop.call_soon_threadsafe(told.put_nowait, TryOnStep(done, total, message))

        queued_s = time.perf_counter()
        async with self._turns.take(order.accepted_s, order.owner, order.network):
            started_s = time.perf_counter()
            asked = _asked(order)
            person, (garment, mask), seen, read_ms = await self._begin(order, asked, on_progress)
            args = (person, garment, mask, asked, on_progress, seen)
            dressed = await _to_its_end(self._in_model(self._pipeline.dress, *args))
        dressed_s = time.perf_counter()
        size_bytes = await self._write(order.output_key, dressed)
        timings = {
            "queueMs": (started_s - queued_s) * 1000,
            "readMs": read_ms,
            "writeMs": (time.perf_counter() - dressed_s) * 1000,
        }
        return TryOnMade(
            dressed.category,
            dressed.picture.width,
            dressed.picture.height,
            list(dressed.steps),
            {name: round(value, 2) for name, value in timings.items()} | dressed.timings_ms,
            self._pipeline.version,
            size_bytes,
        )

    async def _begin(
        self, order: TryOnOrder, asked: Asked, on_progress: OnProgress
    ) -> tuple[Image.Image, Lying, Seen, float]:
        """The pictures, the person parsed while the garment is read, and the milliseconds of
        reading that no parsing hid.
        """
        started_s = time.perf_counter()
        data = await self._blobs.get(order.person_key)
        person = await self._codec.run(_decoded, "personUrl", data)
        lying, seen = await asyncio.gather(
            self._read_lying(order),
            _to_its_end(self._in_model(self._pipeline.see, person, asked, on_progress)),
            return_exceptions=True,  # neither is left running
        )
        if isinstance(seen, BaseException):
            raise seen
        if isinstance(lying, BaseException):
            raise lying
        return person, lying, seen, (time.perf_counter() - started_s) * 1000 - seen.parse_ms

    async def _read_lying(self, order: TryOnOrder) -> Lying:
        keys = (order.garment_key, order.mask_key)
        garment, mask = await asyncio.gather(*(self._blobs.get(key) for key in keys))
        return await self._codec.run(_lying, garment, mask)

    async def _write(self, key: str, dressed: Dressed) -> int:
        data = await self._codec.run(_encoded, dressed.picture)
        await self._blobs.put(key, data, "image/png")
        return len(data)

    async def _in_model(self, function: Callable[..., Result], *args: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)


def _asked(order: TryOnOrder) -> Asked:
    return Asked(order.category, order.quality, order.seed, order.steps)  # type: ignore[arg-type]


async def _to_its_end(running: Awaitable[Result]) -> Result:
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


def _lying(garment: bytes, mask: bytes) -> Lying:
    """Raises as `_decoded`."""
    picture = _decoded("garmentUrl", garment)
    return picture, np.asarray(_decoded("maskUrl", mask).convert("L")) > MIDDLE


def _encoded(picture: Image.Image) -> bytes:
    return encode_png(np.asarray(picture), picture.info.get("icc_profile"))
