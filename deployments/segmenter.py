"""`Segmenter`: cuts garments and people out of stored pictures, which it encodes in batches."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from deployments.serve.autoscaling import BUSY
from deployments.serve.decoding import Decoders
from deployments.serve.metrics import BatchMetrics
from deployments.serve.replica import Replica, replica_device
from deployments.serve.watched_threads import model_thread
from integrations.blobs.store import open_blob_store
from models.segmenter.parser import ParserConfig
from models.segmenter.prompts import Features, PreparedPicture, Segment, Selection
from models.segmenter.sam import SamConfig
from models.segmenter.segmenter import draw, encode_mask, load
from models.segmenter.shapes import SegmentAnswer, SegmentPrompt
from settings import load_settings
from studio.batching import MicroBatcher, in_thread
from studio.context import shared_task

SAM_BATCH = 4
"""Pictures in one pass of SAM on a GPU; the attention of each takes about a gigabyte meanwhile."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class SegmenterArgs:
    """Capacity of one replica. cached_pictures: how many pictures' features stay in memory."""

    max_batch: int = 8
    max_waiting: int = 64
    threads: int = 1
    decoders: int = 1
    cached_pictures: int = 16


class Segmenter(Replica):
    """Decodes and draws in a pool, runs networks in one thread; a bad picture fails alone."""

    def __init__(self, parser: ParserConfig, sam: SamConfig | None, args: SegmenterArgs) -> None:
        self._blobs = open_blob_store(load_settings())
        device = replica_device(parser.device)
        self._model = load(
            replace(parser, device=device, max_batch=args.max_batch, threads=args.threads),
            sam
            and replace(
                sam,
                device=device,
                threads=args.threads,
                max_batch=SAM_BATCH if device == "cuda" else 1,
            ),
        )
        self._model.warm_up()
        self._thread = model_thread()
        self._decoders = Decoders(args.decoders)
        self._cache: OrderedDict[str, asyncio.Task[Features]] = OrderedDict()
        self._cache_size = args.cached_pictures
        self._selecting = 0
        self._callers: Counter[asyncio.Task[Features]] = Counter()
        self._pictures: MicroBatcher[PreparedPicture, Features] = MicroBatcher(
            in_thread(self._thread, self._model.encode),
            max_batch=args.max_batch,
            max_waiting=args.max_waiting,
            observe=BatchMetrics().of("pictures"),
        )

    async def segment(self, image_key: str, prompt: SegmentPrompt, mask_key: str) -> SegmentAnswer:
        """Writes the mask that the prompt asks for, as `studio.ports.Segmenter.segment` does."""
        features = await self._features_of(image_key)
        if self._model.sam:
            selection = await self._select(features, prompt)
        else:  # no network runs
            selection = await self._decoders.run(self._model.select, features, prompt)
        segment, png = await self._decoders.run(_draw_png, features, selection)
        await self._blobs.put(mask_key, png, "image/png")
        return SegmentAnswer(
            features.parsing.width, features.parsing.height, segment.area, segment.bbox,
            segment.score, segment.label, self._model.version, len(png), segment.category_shares,
        )  # fmt: skip

    async def version(self) -> str:
        """Identifies the loaded networks."""
        return self._model.version

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Whether the networks run, for `deployments.serve.autoscaling`."""
        return {BUSY: float(self._pictures.is_busy or self._selecting > 0)}

    async def check_health(self) -> None:
        """Runs the networks; raises where they, the batches or a decoder are broken."""
        self._decoders.check()
        self._thread.check()
        self._pictures.check()
        await self._in_model(self._model.check)

    async def _features_of(self, key: str) -> Features:
        """A picture's features, cached by its key: blobs never change. Prompts on one picture share
        them, also when they arrive at the same time. They are not computed if all callers leave.
        """
        task = self._cache.get(key)
        if task is None:
            task = self._cache[key] = shared_task(self._encode_blob(key), name="encode")
            task.add_done_callback(lambda task: self._forget_failed(key, task))
        self._cache.move_to_end(key)
        while len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)
        self._callers[task] += 1
        try:
            return await asyncio.shield(task)
        finally:
            self._callers[task] -= 1
            if not self._callers[task]:
                del self._callers[task]
                self._drop_unfinished(key, task)

    def _drop_unfinished(self, key: str, task: "asyncio.Task[Features]") -> None:
        if task.cancel() and self._cache.get(key) is task:
            del self._cache[key]  # at once, so that no new caller waits for the cancelled task

    def _forget_failed(self, key: str, task: "asyncio.Task[Features]") -> None:
        failed = task.cancelled() or task.exception() is not None
        if failed and self._cache.get(key) is task:
            del self._cache[key]

    async def _encode_blob(self, key: str) -> Features:
        data = await self._blobs.get(key)
        prepared = await self._decoders.run(self._model.prepare, data)
        return await self._pictures.submit(prepared)

    async def _select(self, features: Features, prompt: SegmentPrompt) -> Selection:
        self._selecting += 1
        try:
            return await self._in_model(self._model.select, features, prompt)
        finally:
            self._selecting -= 1

    async def _in_model(self, work: Callable[..., Result], *args: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)


def _draw_png(features: Features, selection: Selection) -> tuple[Segment, bytes]:
    segment = draw(features, selection)
    return segment, encode_mask(segment.mask)
