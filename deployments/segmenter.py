"""`Segmenter`: a picture's key and a prompt to a mask's key; pictures meet in batches."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from deployments.serve.decoding import Decoders
from deployments.serve.replica import Replica, replica_device
from integrations.blobs.store import open_blob_store
from models.images import decode_measured
from models.png import encode_png
from models.segmenter.parser import ParserConfig
from models.segmenter.parsing import Parsing, Plane
from models.segmenter.prompts import Ask, Features, Segment, require_inside
from models.segmenter.sam import SamConfig
from models.segmenter.segmenter import finish, load
from settings import load_settings
from studio.batching import MicroBatcher, in_thread
from studio.ports import SegmentAnswer, SegmentPrompt

Result = TypeVar("Result")


@dataclass(frozen=True)
class SegmenterArgs:
    """Capacity of one replica. kept: pictures whose features stay for a second prompt."""

    max_batch: int = 8
    max_waiting: int = 64
    threads: int = 1
    decoders: int = 1
    kept: int = 16


@dataclass(frozen=True)
class _Prepared:
    """A decoded picture as the networks want it, and its size as a viewer shows it."""

    width: int
    height: int
    pixels: Plane
    square: tuple[Plane, tuple[int, int]] | None


class Segmenter(Replica):
    """Decodes and draws in a pool, runs networks in one thread; a bad picture fails alone."""

    def __init__(self, parser: ParserConfig, sam: SamConfig | None, args: SegmenterArgs) -> None:
        self._blobs = open_blob_store(load_settings())
        device = replica_device()
        self._model = load(
            replace(parser, device=device, max_batch=args.max_batch, threads=args.threads),
            sam and replace(sam, device=device, threads=args.threads),
        )
        self._model.warm_up()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._decoders = Decoders(args.decoders)
        self._kept: OrderedDict[str, asyncio.Task[Features]] = OrderedDict()
        self._most_kept = args.kept
        self._pictures: MicroBatcher[_Prepared, Features] = MicroBatcher(
            in_thread(self._thread, self._encode),
            max_batch=args.max_batch,
            max_waiting=args.max_waiting,
        )

    async def segment(self, image_key: str, prompt: SegmentPrompt, mask_key: str) -> SegmentAnswer:
        """See `studio.ports.Segmenter.segment`."""
        features = await self._features(image_key)
        ask = Ask(prompt.target, prompt.points, prompt.box)
        require_inside(ask, features.parsing.height, features.parsing.width)
        if self._model.sam:
            draft = await self._in_model(self._model.draft, features, ask)
        else:  # no network in it
            draft = await self._decoders.run(self._model.draft, features, ask)
        segment, png = await self._decoders.run(lambda: draw_png(finish(features, draft)))
        await self._blobs.put(mask_key, png, "image/png")
        return SegmentAnswer(
            features.parsing.width, features.parsing.height, segment.area, segment.bbox,
            segment.score, segment.label, self._model.version, len(png),
        )  # fmt: skip

    async def version(self) -> str:
        """Names the loaded networks."""
        return self._model.version

    async def check_health(self) -> None:
        """Runs the networks for real; raises where one, the batches or a decoder is broken."""
        self._decoders.check()
        self._pictures.check()
        await self._in_model(self._model.check)

    async def _features(self, key: str) -> Features:
        """A picture's features; two prompts on one picture share them, also side by side.

        Blobs never change, so a key stands for its bytes.
        """
        task = self._kept.get(key)
        if task is None:
            task = self._kept[key] = asyncio.create_task(self._encode_blob(key))
            task.add_done_callback(lambda done: self._forget_failed(key, done))
        self._kept.move_to_end(key)
        while len(self._kept) > self._most_kept:
            self._kept.popitem(last=False)
        return await asyncio.shield(task)

    def _forget_failed(self, key: str, done: "asyncio.Task[Features]") -> None:
        failed = done.cancelled() or done.exception() is not None
        if failed and self._kept.get(key) is done:
            del self._kept[key]

    async def _encode_blob(self, key: str) -> Features:
        data = await self._blobs.get(key)
        prepared = await self._decoders.run(self._prepare, data)
        return await self._pictures.submit(prepared)

    def _prepare(self, data: bytes) -> _Prepared:
        """Large JPEGs are decoded at a fraction of their size, twice what the networks look at."""
        picture, (width, height) = decode_measured(data, shortest_side=2 * self._model.side)
        sam = self._model.sam
        square = sam.preprocess(picture) if sam else None
        pixels = self._model.parser.preprocess(picture)
        return _Prepared(width, height, pixels, square)

    def _encode(self, pictures: Sequence[_Prepared]) -> list[Features]:
        planes = self._model.parser.probabilities([each.pixels for each in pictures])
        sam = self._model.sam
        return [
            Features(
                Parsing(plane, each.height, each.width),
                sam.encode(*each.square) if sam and each.square else None,
            )
            for plane, each in zip(planes, pictures, strict=True)
        ]

    async def _in_model(self, work: Callable[..., Result], *args: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)


def draw_png(segment: Segment) -> tuple[Segment, bytes]:
    """A segment and its mask as PNG: one 8-bit channel, 255 inside."""
    return segment, encode_png(segment.mask.view(np.uint8) * 255)
