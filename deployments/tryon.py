"""`TryOn`: dresses people, as many at a time as its painter paints in one batch."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from PIL import Image

from deployments.serve.autoscaling import BUSY
from deployments.serve.decoding import Decoders
from deployments.serve.metrics import TryOnMetrics
from deployments.serve.replica import Replica, replica_device
from deployments.serve.turns import Turns
from deployments.serve.watched_threads import model_thread
from errors import CancelRequested
from integrations.blobs.store import open_blob_store
from models.tryon import pictures
from models.tryon.loading import TryOnConfig, check_pipeline, load_pipeline
from models.tryon.painter import Painting
from models.tryon.pipeline import DressedPerson, OnProgress, ParsedPerson, PreparedTryOn
from models.tryon.shapes import (
    GarmentPicture,
    TryOnLoad,
    TryOnOrder,
    TryOnResult,
    TryOnStep,
    TryOnTicket,
)
from settings import load_settings
from studio.batching import MicroBatcher, in_thread
from studio.context import Deadline, within

HEARTBEAT_S = 3.0
"""The last step is sent again after this many seconds without a new step."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class TryOnArgs:
    """Capacity of one replica, and the limits of direct try-ons.

    max_waiting: how many try-ons may wait. direct_waiting: `auto` creates a job if at least this
    many wait. direct_pixels: `auto` creates a job for larger pictures.
    """

    max_waiting: int = 8
    direct_waiting: int = 2
    direct_pixels: int = 6_000_000
    threads: int = 1


@dataclass(frozen=True)
class TryOnInputs:
    """The decoded pictures of an order, the person parsed.

    read_ms: the time of reading and decoding that did not overlap with parsing.
    """

    person: Image.Image
    garment: GarmentPicture
    parsed: ParsedPerson
    read_ms: float


class TryOn(Replica):
    """The networks have one thread, the painter another; so have decoding and encoding.

    While the painter works, other try-ons are prepared; those of one kind are its next batch.
    """

    def __init__(self, config: TryOnConfig, args: TryOnArgs) -> None:
        self._args = args
        self._blobs = open_blob_store(load_settings())
        device = replica_device(config.painter.device)
        parser = replace(config.parser, device=device, max_batch=1, threads=args.threads)
        painter = replace(config.painter, device=device)
        self._pipeline = load_pipeline(replace(config, parser=parser, painter=painter))
        check_pipeline(self._pipeline)
        self._thread = model_thread()
        self._paint_thread = model_thread("paint")
        self._codec = Decoders(1, name="codec")
        self._turns = Turns(args.max_waiting, self._pipeline.painter.max_batch)
        self._painters: dict[Hashable, MicroBatcher[PreparedTryOn, Painting | Exception]] = {}
        self._metrics = TryOnMetrics()

    async def dress(
        self, order: TryOnOrder, ticket: TryOnTicket, deadline: Deadline | None = None
    ) -> AsyncGenerator[TryOnStep | TryOnResult, None]:
        """Creates the order's picture; yields its steps, then its result.

        A caller who leaves or runs out of time gives its place in the queue back at once; a try-on
        that runs ends at its next step.
        """
        steps: asyncio.Queue[TryOnStep] = asyncio.Queue()
        is_abandoned = threading.Event()
        work = asyncio.ensure_future(self._dress(order, ticket, steps, is_abandoned, deadline))
        last = TryOnStep(0, 1, "waiting")
        try:
            while not work.done():
                step = asyncio.ensure_future(steps.get())
                await asyncio.wait(
                    {work, step}, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED
                )
                if step.done():
                    last = step.result()
                else:
                    step.cancel()
                if not work.done():
                    yield last
            yield work.result()
        finally:
            is_abandoned.set()
            work.cancel()

    async def load(self) -> TryOnLoad:
        """The replica's backlog and its limits of direct try-ons."""
        return TryOnLoad(
            self._turns.waiting,
            self._args.direct_waiting,
            self._args.direct_pixels,
            self._pipeline.version,
        )

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Whether a try-on is being made, for `deployments.serve.autoscaling`."""
        return {BUSY: float(self._turns.waiting > 0)}

    async def check_health(self) -> None:
        """Checks the threads, and the pipeline unless a try-on is running: a long try-on is no
        reason to restart the replica, but a step that does not end is.
        """
        self._codec.check()
        self._thread.check()
        self._paint_thread.check()
        for painter in self._painters.values():
            painter.check()
        if self._turns.waiting == 0:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._paint_thread, check_pipeline, self._pipeline)

    async def _dress(
        self, order: TryOnOrder, ticket: TryOnTicket, steps: "asyncio.Queue[TryOnStep]",
        is_abandoned: threading.Event, deadline: Deadline | None,
    ) -> TryOnResult:  # fmt: skip
        loop = asyncio.get_running_loop()
        observe_step = self._metrics.step_observer()

        def on_progress(done: int, total: int, message: str) -> None:
            if is_abandoned.is_set():
                raise CancelRequested("the caller no longer waits for this try-on")
            self._thread.beat()
            self._paint_thread.beat()
            observe_step(message)
            if deadline is not None:
                deadline.check()
            loop.call_soon_threadsafe(steps.put_nowait, TryOnStep(done, total, message))

        queued_s = time.perf_counter()
        async with within(deadline), self._turn(ticket):
            started_s = time.perf_counter()
            inputs = await self._read(order, on_progress)
            dressed = await self._make(inputs, order, on_progress)
        dressed_s = time.perf_counter()
        size_bytes = await self._write(ticket.output_key, dressed)
        timings = {
            "queueMs": (started_s - queued_s) * 1000,
            "readMs": inputs.read_ms,
            "writeMs": (time.perf_counter() - dressed_s) * 1000,
        } | dressed.timings_ms
        self._metrics.observe_phases(timings)
        return TryOnResult(
            dressed.category,
            dressed.picture.width,
            dressed.picture.height,
            list(dressed.steps),
            {name: round(value, 2) for name, value in timings.items()},
            self._pipeline.version,
            size_bytes,
        )

    @asynccontextmanager
    async def _turn(self, ticket: TryOnTicket) -> AsyncIterator[None]:
        """The turn of a try-on; the gauge follows the queue."""
        self._metrics.show_waiting(self._turns.waiting + 1)
        try:
            async with self._turns.take(ticket.accepted_s, ticket.owner, ticket.network):
                yield
        finally:
            self._metrics.show_waiting(self._turns.waiting)

    async def _make(
        self, inputs: TryOnInputs, order: TryOnOrder, on_progress: OnProgress
    ) -> DressedPerson:
        args = (inputs.person, inputs.garment, order, on_progress, inputs.parsed)
        prepared = await _to_its_end(self._in_model(self._pipeline.prepare, *args))
        painting = await self._painter_of(prepared).submit(prepared)
        return await _to_its_end(self._in_model(self._pipeline.finish, prepared, painting))

    def _painter_of(
        self, prepared: PreparedTryOn
    ) -> MicroBatcher[PreparedTryOn, Painting | Exception]:
        """The batches of its kind: of one size and number of steps, so there are few kinds."""
        kind = self._pipeline.kind(prepared)
        if kind not in self._painters:
            self._painters[kind] = MicroBatcher(
                in_thread(self._paint_thread, self._pipeline.paint),
                max_batch=prepared.painter.max_batch,
                max_waiting=self._args.max_waiting + prepared.painter.max_batch,
            )
        return self._painters[kind]

    async def _read(self, order: TryOnOrder, on_progress: OnProgress) -> TryOnInputs:
        """The pictures; the person is parsed while the garment is read."""
        started_s = time.perf_counter()
        data = await self._blobs.get(order.person_key)
        person = await self._codec.run(pictures.read_person, data)
        parsing = self._in_model(self._pipeline.parse_person, person, order, on_progress)
        garment, parsed = await asyncio.gather(
            self._read_garment(order),
            _to_its_end(parsing),
            return_exceptions=True,  # wait for both, even if one fails
        )
        if isinstance(parsed, BaseException):
            raise parsed
        if isinstance(garment, BaseException):
            raise garment
        read_ms = (time.perf_counter() - started_s) * 1000 - parsed.parse_ms
        return TryOnInputs(person, garment, parsed, read_ms)

    async def _read_garment(self, order: TryOnOrder) -> GarmentPicture:
        keys = (order.garment_key, order.mask_key)
        garment, mask = await asyncio.gather(*(self._blobs.get(key) for key in keys))
        return await self._codec.run(pictures.read_garment, garment, mask)

    async def _write(self, key: str, dressed: DressedPerson) -> int:
        data = await self._codec.run(pictures.encode_result, dressed.picture)
        await self._blobs.put(key, data, "image/png")
        return len(data)

    async def _in_model(self, function: Callable[..., Result], *args: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)


async def _to_its_end(running: Awaitable[Result]) -> Result:
    """Awaits work in the networks' thread; a caller that is cancelled waits for its end too, since
    the next try-on needs the thread.
    """
    task = asyncio.ensure_future(running)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not log it
        raise
