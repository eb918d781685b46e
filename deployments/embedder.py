"""`Embedder`: many callers' images and texts become batches on one model."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from deployments.batching import MicroBatcher, in_thread
from deployments.handles import Handle, HandleArgs, IndexHandle
from deployments.listening import listen_privately
from errors import StudioError, Unavailable
from models.embedder import EmbedderConfig, load
from models.images import decode_image
from studio.ports import EmbeddedAnswer, Embedding, RawQuery, Vector


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
        self._index = IndexHandle(index, args.index)
        self._model = load(config)
        self._model.warm_up()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._decoders = ThreadPoolExecutor(args.decoders, thread_name_prefix="decode")
        self._images: MicroBatcher[NDArray[np.float32], Vector] = MicroBatcher(
            in_thread(self._thread, self._model.embed_images),
            max_batch=args.max_batch,
            max_waiting=args.max_waiting,
        )
        self._texts: MicroBatcher[str, Vector] = MicroBatcher(
            in_thread(self._thread, self._model.embed_texts),
            max_batch=args.max_batch,
            max_waiting=args.max_waiting,
        )

    async def embed_image(self, image: bytes) -> Embedding:
        """Encoded picture -> unit vector.

        Raises:
            NotAnImage, Invalid, TooLarge: the picture can't be used.
            Unavailable: too many requests wait.
        """
        loop = asyncio.get_running_loop()
        pixels = await loop.run_in_executor(self._decoders, self._pixels, image)
        return Embedding(self._model.version, await self._images.submit(pixels))

    async def embed_text(self, text: str) -> Embedding:
        """Words -> unit vector.

        Raises:
            Unavailable: too many requests wait.
        """
        return Embedding(self._model.version, await self._texts.submit(text))

    async def search(self, raws: list[RawQuery]) -> list[EmbeddedAnswer | StudioError]:
        """Each search's answer, or its own error; see `studio.ports.Embedder.search`."""
        return list(await asyncio.gather(*(self._search_or_error(raw) for raw in raws)))

    async def _search_or_error(self, raw: RawQuery) -> EmbeddedAnswer | StudioError:
        try:
            return await self._search(raw)
        except StudioError as error:
            return error

    async def _search(self, raw: RawQuery) -> EmbeddedAnswer:
        version, query = self._model.version, raw.query
        if query.embedder_version not in ("", version):
            raise Unavailable("the embedder is being replaced by another one")
        image, text = query.image, query.text
        if raw.image is not None:
            image = (await self.embed_image(raw.image)).vector
        if raw.text is not None:
            text = (await self.embed_text(raw.text)).vector
        asked = replace(query, embedder_version=version, image=image, text=text)
        return EmbeddedAnswer(await self._index.search(asked), version, text)

    async def version(self) -> str:
        """Fingerprint of the loaded checkpoint."""
        return self._model.version

    async def check_health(self) -> None:
        """Runs the model for real; raises where it or a batching loop is broken."""
        self._images.check()
        self._texts.check()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._model.check)

    def _pixels(self, image: bytes) -> NDArray[np.float32]:
        """Large JPEGs are decoded at a fraction of their size, twice what the model looks at."""
        return self._model.preprocess(decode_image(image, shortest_side=2 * self._model.side))
