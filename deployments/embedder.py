"""`Embedder`: many callers' images and texts become batches on one model."""

import asyncio
import time
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from deployments.handles import Handle, HandleArgs, IndexHandle
from deployments.serve.decoding import Decoders
from deployments.serve.listening import listen_privately
from deployments.serve.log_files import log_to_worker_files
from deployments.serve.metrics import BatchMetrics
from errors import Invalid, StudioError, Unavailable
from models.embedder.embedder import EmbedderConfig, load
from models.images import decode_image
from models.sales.explanation.occlusion import background, cover
from models.sales.shapes import CoveredEmbedding
from studio.batching import MicroBatcher, in_thread
from studio.context import continuing, current_origin, span
from studio.ports import EmbeddedAnswer, Embedding, RawQuery, Vector

Result = TypeVar("Result")

log = structlog.get_logger("studio.embedder")


View = tuple[float, float, float, float]
MOST_PATCHES = 256
"""Of one picture, itself included."""


@dataclass(frozen=True)
class Patch:
    """A picture (3, h, w) with a box covered; without one it is whole."""

    pixels: NDArray[np.float32]
    fill: NDArray[np.float32]
    box: NDArray[np.float32] | None

    def covered(self) -> NDArray[np.float32]:
        """Made when its batch runs, so that those that wait take no room."""
        return self.pixels if self.box is None else cover(self.pixels, self.box, self.fill)


@dataclass(frozen=True)
class EmbedderArgs:
    """Capacity of one replica."""

    max_batch: int = 16
    max_waiting: int = 256
    threads: int = 1
    decoders: int = 2
    index: HandleArgs = field(default_factory=HandleArgs)


class Embedder:
    """Decodes in a pool, embeds in one thread; a bad picture fails alone, before any batch."""

    def __init__(self, config: EmbedderConfig, args: EmbedderArgs, index: Handle) -> None:
        listen_privately()
        self._logs = log_to_worker_files()
        self._index = IndexHandle(index, args.index)
        self._max_batch = args.max_batch
        self._model = load(config)
        self._model.warm_up()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
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
        pixels = await self._decode(image)
        return Embedding(self._model.version, await self._images.submit(pixels))

    async def embed_images(self, images: list[bytes]) -> list[Embedding | StudioError]:
        """Each picture's vector or its own error. One batch waits at a time: searches overtake."""
        found: list[Embedding | StudioError] = []
        for start in range(0, len(images), self._max_batch):
            part = images[start : start + self._max_batch]
            found += await asyncio.gather(*(_or_error(self.embed_image(one)) for one in part))
        log.info("pictures.embedded", count=len(found))
        self._logs.flush()
        return found

    async def embed_text(self, text: str) -> Embedding:
        """Words -> unit vector.

        Raises:
            Unavailable: too many requests wait.
        """
        return Embedding(self._model.version, await self._texts.submit(text))

    async def embed_covered(self, image: bytes, boxes: NDArray[np.float32]) -> CoveredEmbedding:
        """See `studio.ports.Embedder.embed_covered`.

        Decoded and resized once; patches are covered in what the model looks at. Searches get their
        turn between the batches.
        """
        if len(boxes) >= MOST_PATCHES:
            raise Invalid(f"at most {MOST_PATCHES - 1} boxes are covered at a time")
        with span("Embedder.embed_covered", boxes=len(boxes)):
            pixels, view = await self._decoders.run(self._pixels_and_view, image)
            fill = background(pixels)
            patches = [Patch(pixels, fill, box) for box in (None, *boxes)]
            vectors = await asyncio.gather(*(self._patches.submit(patch) for patch in patches))
        return CoveredEmbedding(self._model.version, np.stack(vectors), view)

    def _embed_patches(self, patches: list["Patch"]) -> NDArray[np.float32]:
        return self._model.embed_images([patch.covered() for patch in patches])

    async def search(self, raws: list[RawQuery]) -> list[EmbeddedAnswer | StudioError]:
        """Each search's answer, or its own error; see `studio.ports.Embedder.search`.

        They came together and leave together, so every picture is decoded before the first is
        embedded: they make one batch, and one question to the index.
        """
        decoded = await asyncio.gather(*(self._decode_any(raw.image) for raw in raws))
        searches = (
            self._search_or_error(raw, pixels) for raw, pixels in zip(raws, decoded, strict=True)
        )
        return list(await asyncio.gather(*searches))

    async def _decode_any(self, image: bytes | None) -> NDArray[np.float32] | StudioError | None:
        return None if image is None else await _or_error(self._decode(image))

    async def _search_or_error(
        self, raw: RawQuery, pixels: NDArray[np.float32] | StudioError | None
    ) -> EmbeddedAnswer | StudioError:
        started_s = time.perf_counter()
        with continuing(raw.query.origin), span("Embedder.search"):
            found = await _or_error(self._search(raw, pixels))
            told = found.detail if isinstance(found, StudioError) else found.embedder_version
            elapsed_ms = round((time.perf_counter() - started_s) * 1000, 1)
            log.info("embedder.search", answer=told, ms=elapsed_ms)
        return found

    async def _search(
        self, raw: RawQuery, pixels: NDArray[np.float32] | StudioError | None
    ) -> EmbeddedAnswer:
        version, query = self._model.version, raw.query
        if query.embedder_version not in ("", version):
            raise Unavailable("the embedder is being replaced by another one")
        if isinstance(pixels, StudioError):
            raise pixels
        image = query.image if pixels is None else await self._images.submit(pixels)
        text = query.text if raw.text is None else await self._texts.submit(raw.text)
        asked = replace(
            query, embedder_version=version, image=image, text=text, origin=current_origin()
        )
        return EmbeddedAnswer(await self._index.search(asked), version, text)

    async def _decode(self, image: bytes) -> NDArray[np.float32]:
        return await self._decoders.run(self._model.reader.read, image)

    async def version(self) -> str:
        """Fingerprint of the loaded checkpoint."""
        return self._model.version

    async def check_health(self) -> None:
        """Runs the model for real; raises where it, a batching loop or a decoder is broken."""
        self._decoders.check()
        self._images.check()
        self._texts.check()
        self._patches.check()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._model.check)

    def _pixels_and_view(self, image: bytes) -> tuple[NDArray[np.float32], View]:
        """Large JPEGs are decoded at a fraction of their size, twice what the model looks at."""
        picture = decode_image(image, shortest_side=2 * self._model.side)
        return self._model.preprocess(picture), self._model.view(*picture.size)


async def _or_error(work: Awaitable[Result]) -> Result | StudioError:
    """One of several: what is wrong with it is its own affair."""
    try:
        return await work
    except StudioError as error:
        return error
