"""`Embedder`: many callers' images and texts become batches on one model."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from deployments.handles import IndexHandle, TracedQuery
from deployments.serve.autoscaling import BUSY
from deployments.serve.calls import Handle, HandleArgs
from deployments.serve.decoding import Decoders
from deployments.serve.log_files import log_to_worker_files
from deployments.serve.metrics import BatchMetrics
from deployments.serve.replica import Replica, replica_device
from deployments.serve.watched_threads import model_thread
from errors import EmbedderMismatch, Invalid, StudioError
from models.embedder.embedder import EmbedderConfig, load
from models.embedder.shapes import Embedding, Vector
from models.index.shapes import SearchAnswer, SearchQuery
from models.sales.explanation.occlusion import background, cover
from models.sales.shapes import CoveredEmbedding
from studio.batching import MicroBatcher, in_thread
from studio.context import continuing, span, within

Result = TypeVar("Result")

log = structlog.get_logger("studio.embedder")

MOST_PATCHES = 256
"""The most patches of one picture, including the whole picture."""


@dataclass(frozen=True)
class Patch:
    """A picture (3, h, w) in which a box is covered; None: the whole picture."""

    pixels: NDArray[np.float32]
    fill: NDArray[np.float32]
    box: NDArray[np.float32] | None

    def covered(self) -> NDArray[np.float32]:
        """The pixels to embed; computed when the batch runs, to save memory while it waits."""
        return self.pixels if self.box is None else cover(self.pixels, self.box, self.fill)


@dataclass(frozen=True)
class EmbedderArgs:
    """Capacity of one replica."""

    max_batch: int = 16
    max_waiting: int = 256
    threads: int = 1
    decoders: int = 2
    index: HandleArgs = field(default_factory=HandleArgs)


class Embedder(Replica):
    """Decodes in a pool, embeds in one thread; a bad picture fails alone, before any batch."""

    def __init__(self, config: EmbedderConfig, args: EmbedderArgs, index: Handle) -> None:
        self._logs = log_to_worker_files()
        self._index = IndexHandle(index, args.index)
        self._max_batch = args.max_batch
        device = replica_device(config.device)
        self._model = load(
            replace(config, device=device, max_batch=args.max_batch, threads=args.threads)
        )
        self._model.warm_up()
        self._thread = model_thread()
        self._decoders = Decoders(args.decoders)
        metrics = BatchMetrics()
        self._images: MicroBatcher[NDArray[np.float32], Vector] = MicroBatcher(
            in_thread(self._thread, self._model.embed_images),
            max_batch=args.max_batch,
            max_waiting=args.max_waiting,
            observe=metrics.of("images"),
        )
        self._texts: MicroBatcher[str, Vector] = MicroBatcher(
            in_thread(self._thread, self._model.embed_texts),
            max_batch=args.max_batch,
            max_waiting=args.max_waiting,
            observe=metrics.of("texts"),
        )
        self._patches: MicroBatcher[Patch, Vector] = MicroBatcher(
            in_thread(self._thread, self._embed_patches),
            max_batch=args.max_batch,
            max_waiting=max(args.max_waiting, MOST_PATCHES),
            observe=metrics.of("patches"),
        )

    async def embed_image(self, image: bytes) -> Embedding:
        """Encoded picture -> unit vector.

        Raises:
            NotAnImage, Invalid, TooLarge: the picture can't be used.
            Unavailable: too many requests wait.
        """
        pixels = await self._read(image)
        return Embedding(self._model.version, await self._images.submit(pixels))

    async def embed_images(self, images: list[bytes]) -> list[Embedding | StudioError]:
        """Each picture's vector or its own error.

        Only one batch of a call is queued at a time, so that searches run between the batches.
        """
        embeddings: list[Embedding | StudioError] = []
        for start in range(0, len(images), self._max_batch):
            part = images[start : start + self._max_batch]
            embeddings += await asyncio.gather(
                *(_or_error(self.embed_image(data)) for data in part)
            )
        log.info("pictures.embedded", count=len(embeddings))
        self._logs.flush()
        return embeddings

    async def embed_text(self, text: str) -> Embedding:
        """Words -> unit vector.

        Raises:
            Unavailable: too many requests wait.
        """
        return Embedding(self._model.version, await self._texts.submit(text))

    async def embed_texts(self, texts: list[str]) -> list[Embedding]:
        """Each text's vector.

        Only one batch of a call is queued at a time, so that searches run between the batches.

        Raises:
            Unavailable: too many requests wait.
        """
        embeddings: list[Embedding] = []
        for start in range(0, len(texts), self._max_batch):
            part = texts[start : start + self._max_batch]
            embeddings += await asyncio.gather(*(self.embed_text(text) for text in part))
        return embeddings

    async def embed_covered(self, image: bytes, boxes: NDArray[np.float32]) -> CoveredEmbedding:
        """Embeds a picture, whole and with each box covered.

        The picture is decoded and resized once; boxes are covered in the model's input. Searches
        run between the batches.
        """
        if len(boxes) >= MOST_PATCHES:
            raise Invalid(f"at most {MOST_PATCHES - 1} boxes are covered at a time")
        with span("Embedder.embed_covered", boxes=len(boxes)):
            pixels, view = await self._decoders.run(self._model.reader.read_with_view, image)
            fill = background(pixels)
            patches = [Patch(pixels, fill, box) for box in (None, *boxes)]
            vectors = await asyncio.gather(*(self._patches.submit(patch) for patch in patches))
        return CoveredEmbedding(self._model.version, np.stack(vectors), view)

    def _embed_patches(self, patches: list[Patch]) -> NDArray[np.float32]:
        return self._model.embed_images([patch.covered() for patch in patches])

    async def search(self, queries: list[TracedQuery]) -> list[SearchAnswer | StudioError]:
        """Each search's answer, or its own error; see `studio.ports.Embedder.search`.

        All pictures of a call are decoded before the first is embedded, so that they form one batch
        and their searches form one call of the index.
        """
        decoded = await asyncio.gather(*(self._decode(traced) for traced in queries))
        searches = (
            self._search_or_error(traced, pixels)
            for traced, pixels in zip(queries, decoded, strict=True)
        )
        return list(await asyncio.gather(*searches))

    async def _decode(self, traced: TracedQuery) -> NDArray[np.float32] | StudioError | None:
        if traced.query.picture is None:
            return None
        try:
            async with within(traced.origin.deadline):
                return await self._read(traced.query.picture)
        except StudioError as error:
            return error

    async def _search_or_error(
        self, traced: TracedQuery, pixels: NDArray[np.float32] | StudioError | None
    ) -> SearchAnswer | StudioError:
        started_s = time.perf_counter()
        with continuing(traced.origin), span("Embedder.search"):
            answer = await _or_error(self._search_in_time(traced, pixels))
            summary = answer.detail if isinstance(answer, StudioError) else answer.embedder_version
            elapsed_ms = round((time.perf_counter() - started_s) * 1000, 1)
            log.info("embedder.search", answer=summary, ms=elapsed_ms)
        return answer

    async def _search_in_time(
        self, traced: TracedQuery, pixels: NDArray[np.float32] | StudioError | None
    ) -> SearchAnswer:
        async with within(traced.origin.deadline):
            return await self._search(traced.query, pixels)

    async def _search(
        self, query: SearchQuery, pixels: NDArray[np.float32] | StudioError | None
    ) -> SearchAnswer:
        version = self._model.version
        if query.embedder_version not in (None, version):
            raise EmbedderMismatch("the embedder is being replaced by another one")
        if isinstance(pixels, StudioError):
            raise pixels
        image = query.image if pixels is None else await self._images.submit(pixels)
        text = None if query.words is None else await self._texts.submit(query.words)
        embedded = replace(
            query,
            embedder_version=version,
            image=image,
            text=query.text if text is None else text,
            picture=None,
            words=None,
        )
        answer = await self._index.search(embedded)
        has_next = pixels is not None and answer.end is not None
        return replace(answer, text=text, image=image if has_next else None)

    async def _read(self, image: bytes) -> NDArray[np.float32]:
        return await self._decoders.run(self._model.reader.read, image)

    async def version(self) -> str:
        """Fingerprint of the loaded checkpoint."""
        return self._model.version

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Whether the network runs, for `deployments.serve.autoscaling`."""
        batchers = (self._images, self._texts, self._patches)
        return {BUSY: float(any(batcher.is_busy for batcher in batchers))}

    async def check_health(self) -> None:
        """Runs the model on an image and a text, and checks threads and batching loops.

        Raises:
            RuntimeError: one of them is broken.
        """
        self._decoders.check()
        self._thread.check()
        self._images.check()
        self._texts.check()
        self._patches.check()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._model.check)


async def _or_error(work: Awaitable[Result]) -> Result | StudioError:
    """The result, or the error as a value, so that it does not fail the others of a batch."""
    try:
        return await work
    except StudioError as error:
        return error
