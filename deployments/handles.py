"""`studio.ports` over deployment handles: an error of another process is raised in this one."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from ray.serve.handle import DeploymentHandle

from deployments.serve.calls import (
    MESSAGE_BYTES,
    Handle,
    HandleArgs,
    call,
    deadline_option,
    read_stream,
    search_in_batches,
)
from deployments.serve.patches import write_request_id
from errors import StudioError
from models.embedder.shapes import Embedding
from models.index.catalogue_values import CatalogueValues
from models.index.shapes import SearchAnswer, SearchQuery
from models.sales.shapes import (
    CoveredEmbedding,
    Evaluation,
    Observations,
    ScoreAnswer,
    ScoreQuery,
    TrainedVersion,
)
from models.segmenter.shapes import SegmentAnswer, SegmentPrompt
from models.tryon.shapes import TryOnLoad, TryOnOrder, TryOnResult, TryOnStep, TryOnTicket
from settings import Settings
from studio.batching import MicroBatcher, portions
from studio.context import Origin, current_origin, current_request_id
from studio.ports import Embedder

VERSION_LIFETIME_S = 2.0
EMBEDDER_NEXT, SEGMENTER_NEXT, TRYON_NEXT = "EmbedderNext", "SegmenterNext", "TryOnNext"
PORTION = 16
"""Pictures or texts in one call that embeds many."""


@dataclass(frozen=True)
class NextHandles:
    """The deployments of models that are being rolled out; None for those that are not."""

    embedder: Handle | None = None
    segmenter: Handle | None = None
    tryon: Handle | None = None

    @classmethod
    def of_application(cls, application: str, settings: Settings) -> Self:
        """Handles of a running application that was built with these settings."""

        def handle(name: str, *, is_deployed: bool) -> Handle | None:
            return DeploymentHandle(name, application) if is_deployed else None

        return cls(
            handle(EMBEDDER_NEXT, is_deployed=settings.has_next_embedder),
            handle(SEGMENTER_NEXT, is_deployed=settings.has_next_segmenter),
            handle(TRYON_NEXT, is_deployed=settings.has_next_tryon),
        )


@dataclass(frozen=True)
class Handles:
    """The deployments that a studio calls: bound once, where the application is built.

    Serve replaces the bound deployments by handles, which is what a replica receives.
    """

    embedder: Handle
    index: Handle
    regressor: Handle
    dispatcher: Handle
    segmenter: Handle
    tryon: Handle
    next: NextHandles = field(default_factory=NextHandles)

    @classmethod
    def of_application(cls, application: str, settings: Settings) -> Self:
        """Handles of a running application that was built with these settings."""
        names = ("Embedder", "Index", "Regressor", "Dispatcher", "Segmenter", "TryOn")
        handles: dict[str, Any] = {
            name.lower(): DeploymentHandle(name, application) for name in names
        }
        handles["next"] = NextHandles.of_application(application, settings)
        return cls(**handles)

    async def shut_down(self) -> None:
        """Ends the handles' own tasks, which live in this event loop."""
        for handle in self.all():
            await handle.shutdown_async()  # type: ignore[no-untyped-call]

    def all(self) -> list[Handle]:
        """Every handle that there is."""
        handles = (*vars(self).values(), *vars(self.next).values())
        return [handle for handle in handles if isinstance(handle, DeploymentHandle)]


@dataclass(frozen=True)
class TracedQuery:
    """A search and the request that it belongs to: searches of many requests share one call."""

    query: SearchQuery
    origin: Origin


class EmbedderHandle(Embedder):
    """One embedder over the `Embedder` deployment."""

    def __init__(
        self, handle: Handle, args: HandleArgs | None = None, name: str = "Embedder"
    ) -> None:
        self._handle = handle
        self._name = name
        self._version: str | None = None
        self._version_at_s = 0.0
        self._pictures: MicroBatcher[TracedQuery, SearchAnswer]
        self._texts: MicroBatcher[TracedQuery, SearchAnswer]
        # Texts need not wait for pictures, which take longer.
        self._pictures, self._texts = (
            search_in_batches(name, handle, args or HandleArgs(), _origin, _picture_bytes)
            for _ in range(2)
        )

    async def embed_image(self, image: bytes) -> Embedding:
        """Embeds an encoded picture."""
        return self._remember(await call(self._name, self._handle.embed_image, image))

    async def embed_images(self, images: Sequence[bytes]) -> list[Embedding | StudioError]:
        """Embeds encoded pictures, `PORTION` in a call; each has its result or its own error."""
        answers: list[Embedding | StudioError] = []
        for part in portions(images, PORTION, MESSAGE_BYTES):
            answers += await call(self._name, self._handle.embed_images, part)
        return answers

    async def embed_text(self, text: str) -> Embedding:
        """Embeds a text."""
        return self._remember(await call(self._name, self._handle.embed_text, text))

    async def embed_texts(self, texts: Sequence[str]) -> list[Embedding]:
        """Embeds texts, `PORTION` in a call."""
        embeddings: list[Embedding] = []
        for start in range(0, len(texts), PORTION):
            part = list(texts[start : start + PORTION])
            embeddings += await call(self._name, self._handle.embed_texts, part)
        return embeddings

    async def embed_covered(self, image: bytes, boxes: NDArray[np.float32]) -> CoveredEmbedding:
        """Embeds a picture, whole and with each box covered."""
        covered: CoveredEmbedding = await call(self._name, self._handle.embed_covered, image, boxes)
        return covered

    async def search(self, query: SearchQuery) -> SearchAnswer:
        """Embeds the query and searches the index with it, in one call."""
        batcher = self._texts if query.picture is None else self._pictures
        return await batcher.submit(TracedQuery(query, current_origin()))

    async def version(self) -> str:
        """The version in service, at most 2 s old, so that a cached text needs no call."""
        if self._version is None or time.monotonic() - self._version_at_s > VERSION_LIFETIME_S:
            self._version = str(await call(self._name, self._handle.version))
            self._version_at_s = time.monotonic()
        return self._version

    def _remember(self, embedding: Embedding) -> Embedding:
        self._version, self._version_at_s = embedding.version, time.monotonic()
        return embedding


class IndexHandle:
    """`studio.ports.Index` over the `Index` deployment."""

    def __init__(self, handle: Handle, args: HandleArgs | None = None) -> None:
        self._handle = handle
        self._searches: MicroBatcher[TracedQuery, SearchAnswer] = search_in_batches(
            "Index", handle, args or HandleArgs(), _origin
        )

    async def search(self, query: SearchQuery) -> SearchAnswer:
        """Finds the products that are nearest to the query's vectors."""
        return await self._searches.submit(TracedQuery(query, current_origin()))

    async def complete(self, phrase: str, most: int) -> list[str]:
        """Ids of products whose words begin as the phrase does."""
        ids: list[str] = await call("Index", self._handle.complete, phrase, most)
        return ids

    async def catalogue_values(self) -> CatalogueValues:
        """The values that the products carry."""
        values: CatalogueValues = await call("Index", self._handle.catalogue_values)
        return values

    async def status(self) -> Mapping[str, object]:
        """The version that a replica has loaded."""
        status: Mapping[str, object] = await call("Index", self._handle.status)
        return status


class SegmenterHandle:
    """`studio.ports.Segmenter` over the `Segmenter` deployment."""

    def __init__(self, handle: Handle, name: str = "Segmenter") -> None:
        self._handle = handle
        self._name = name

    async def segment(self, image_key: str, prompt: SegmentPrompt, mask_key: str) -> SegmentAnswer:
        """Segments a stored picture; the replica writes the mask under `mask_key`."""
        answer: SegmentAnswer = await call(
            self._name, self._handle.segment, image_key, prompt, mask_key
        )
        return answer

    async def version(self) -> str:
        """Names the loaded networks."""
        return str(await call(self._name, self._handle.version))


class RegressorHandle:
    """`studio.ports.Regressor` over the `Regressor` deployment."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def score(self, query: ScoreQuery) -> ScoreAnswer:
        """Scores one picture."""
        answer: ScoreAnswer = await call("Regressor", self._handle.score, query)
        return answer

    async def evaluate(
        self, version: TrainedVersion | None, observations: Observations
    ) -> Evaluation:
        """Compares a version's predictions with sales."""
        evaluation: Evaluation = await call(
            "Regressor", self._handle.evaluate, version, observations
        )
        return evaluation

    async def status(self) -> Mapping[str, object]:
        """The starter's version, and the versions that a replica has loaded."""
        status: Mapping[str, object] = await call("Regressor", self._handle.status)
        return status


class TryOnHandle:
    """`studio.ports.TryOn` over the `TryOn` deployment; its steps arrive as a stream."""

    def __init__(self, handle: Handle, name: str = "TryOn") -> None:
        self._handle = handle
        self._name = name

    async def dress(
        self, order: TryOnOrder, ticket: TryOnTicket
    ) -> AsyncIterator[TryOnStep | TryOnResult]:
        """The steps of a try-on, then its result; leaving the iteration cancels it."""
        write_request_id(current_request_id())
        dress = self._handle.options(stream=True).dress
        stream: Any = dress.remote(order, ticket, **deadline_option())
        try:
            async for step in read_stream(self._name, dress, stream):
                yield step
        finally:
            stream.cancel()

    async def load(self) -> TryOnLoad:
        """How many try-ons wait or are being made, and the limits of direct try-ons."""
        load: TryOnLoad = await call(self._name, self._handle.load)
        return load

    async def version(self) -> str:
        """Names the loaded networks."""
        return (await self.load()).model_version


class DispatcherHandle:
    """`studio.ports.Dispatcher` over the `Dispatcher` deployment."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def status(self) -> Mapping[str, object]:
        """A replica's state, and the backlog by type."""
        status: Mapping[str, object] = await call("Dispatcher", self._handle.status)
        return status


def _origin(traced: TracedQuery) -> Origin:
    return traced.origin


def _picture_bytes(traced: TracedQuery) -> int:
    return len(traced.query.picture or b"")
