"""The same graph on stock Ray Serve: its Python proxy, `@serve.batch`, a hop a step.

    python -m benchmarks.serving.stock_serve PORT

A cluster of its own, with every RAY_SERVE_* switch unset, over the running studio's servers; it
ends when its standard input does.
"""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.topology import live_index, make_parts
from errors import StudioError
from models.embedder.shapes import Embedding
from models.index.catalogue_values import NO_VALUES, CatalogueValues
from models.index.shapes import SearchAnswer, SearchQuery
from models.sales.shapes import CoveredEmbedding
from settings import Settings, load_settings
from studio.ports import Embedder

CPUS = {"num_cpus": 0.1}


class StockEmbedder:
    """The model behind `@serve.batch` with its default wait; set up by `build`."""

    def __init__(self) -> None:
        from deployments.profile import embedder_config
        from models.embedder.embedder import load

        self._model = load(embedder_config(load_settings()))
        self._model.warm_up()
        self._thread = ThreadPoolExecutor(1)

    def _embed(self, images: list[bytes]) -> list[Any]:
        pixels = [self._model.reader.read(image) for image in images]
        return list(self._model.embed_images(pixels))

    async def embed_images(self, images: list[bytes]) -> list[Embedding]:
        loop = asyncio.get_running_loop()
        vectors = await loop.run_in_executor(self._thread, self._embed, images)
        return [Embedding(self._model.version, vector) for vector in vectors]

    async def embed_texts(self, texts: list[str]) -> list[Embedding]:
        loop = asyncio.get_running_loop()
        vectors = await loop.run_in_executor(self._thread, self._model.embed_texts, texts)
        return [Embedding(self._model.version, vector) for vector in vectors]

    async def version(self) -> str:
        return self._model.version


class StockIndex:
    """The live index, one search a call."""

    def __init__(self) -> None:
        self._ready = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def _follow(self) -> None:
        with ThreadPoolExecutor(1) as thread:
            async with live_index(load_settings(), thread) as self._live:
                self._ready.set()
                await asyncio.Event().wait()

    async def search(self, query: SearchQuery) -> SearchAnswer:
        await self._ready.wait()
        return await self._live.search(query)


class StockEmbedderPort(Embedder):
    """One embedder with a hop for each step."""

    def __init__(self, embedder: Any, index: Any) -> None:
        self._embedder, self._index = embedder, index
        self._version = ""

    async def version(self) -> str:
        self._version = self._version or str(await self._embedder.version.remote())
        return self._version

    async def embed_image(self, image: bytes) -> Embedding:
        embedding: Embedding = await self._embedder.embed_images.remote(image)
        return embedding

    async def embed_images(self, images: Sequence[bytes]) -> list[Embedding | StudioError]:
        return [await self.embed_image(image) for image in images]

    async def embed_text(self, text: str) -> Embedding:
        embedding: Embedding = await self._embedder.embed_texts.remote(text)
        return embedding

    async def embed_texts(self, texts: Sequence[str]) -> list[Embedding]:
        return list(await asyncio.gather(*(self.embed_text(text) for text in texts)))

    async def embed_covered(self, image: bytes, boxes: NDArray[np.float32]) -> CoveredEmbedding:
        raise NotImplementedError("scores are not measured here")

    async def search(self, query: SearchQuery) -> SearchAnswer:
        image, text = query.image, None
        if query.picture is not None:
            image = (await self.embed_image(query.picture)).vector
        if query.words is not None:
            text = (await self.embed_text(query.words)).vector
        embedded = replace(
            query,
            embedder_version=await self.version(),
            image=image,
            text=query.text if text is None else text,
            picture=None,
            words=None,
        )
        answer: SearchAnswer = await self._index.search.remote(embedded)
        return replace(answer, text=text)


class StockIndexPort:
    """`studio.ports.Index`, one search a hop."""

    def __init__(self, index: Any) -> None:
        self._index = index

    async def search(self, query: SearchQuery) -> SearchAnswer:
        answer: SearchAnswer = await self._index.search.remote(query)
        return answer

    async def status(self) -> Mapping[str, object]:
        return {"version": None}

    async def complete(self, phrase: str, most: int) -> list[str]:
        return []

    async def catalogue_values(self) -> CatalogueValues:
        return NO_VALUES


def build(settings: Settings) -> Any:
    """The application; Serve is imported here, where its environment is stock."""
    from ray import serve

    batch: Any = serve.batch(max_batch_size=16)
    methods = {name: batch(vars(StockEmbedder)[name]) for name in ("embed_images", "embed_texts")}

    @serve.ingress()
    class StockGateway:
        def __init__(self, embedder: Any, index: Any) -> None:
            self._ports = StockEmbedderPort(embedder, index), StockIndexPort(index)

        def __serve_build_asgi_app__(self) -> Any:
            from gateway.app import create_app

            return create_app(make_parts(settings, *self._ports))

    capacity: dict[str, Any] = {"ray_actor_options": CPUS, "max_ongoing_requests": 256}
    embedder = serve.deployment(**capacity)(type("Embedder", (StockEmbedder,), methods)).bind()
    index = serve.deployment(**capacity)(StockIndex).bind()
    return serve.deployment(**capacity)(StockGateway).bind(embedder, index)


def main() -> None:
    """Runs it until standard input ends."""
    import ray
    from ray import serve

    for name in [name for name in os.environ if name.startswith("RAY_")]:
        del os.environ[name]
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(build(load_settings()))
    print("ready", flush=True)
    sys.stdin.read()
    serve.shutdown()  # type: ignore[no-untyped-call]
    ray.shutdown()


if __name__ == "__main__":
    main()
