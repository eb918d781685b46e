"""`studio.ports` over deployment handles: what fails in another process fails here the same way.

A hop costs more than many a search. So searches that arrive while others are on their way travel
together; a lone one leaves at once.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RayServeException
from ray.serve.handle import DeploymentHandle

from deployments.serve.log_files import carry_request_id
from errors import DeadlinePassed, StudioError, Unavailable
from models.sales.shapes import (
    CoveredEmbedding,
    Evaluation,
    Observations,
    ScoreAnswer,
    ScoreQuery,
    TrainedVersion,
)
from studio.batching import MicroBatcher, portions
from studio.context import Origin, continuing, current_request_id
from studio.ports import (
    EmbeddedAnswer,
    Embedding,
    IndexAnswer,
    IndexQuery,
    RawQuery,
    SegmentAnswer,
    SegmentPrompt,
    TryOnLoad,
    TryOnMade,
    TryOnOrder,
    TryOnStep,
)

Handle = DeploymentHandle[Any]
DEADLINE_S = 30.0
VERSION_LIFETIME_S = 2.0
PORTION = 16
"""Pictures of one call that embeds many."""
MESSAGE_BYTES = 4 * 2**20
"""What travels together; a single larger picture travels alone."""

_Query = TypeVar("_Query")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class HandleArgs:
    """How one process calls a deployment: side by side, together in one call, and waiting."""

    calls: int = 2
    max_batch: int = 16
    max_waiting: int = 512


async def call(name: str, method: Any, *args: Any) -> Any:
    """One call of a deployment's method.

    Raises:
        StudioError: as the method raised it.
        Unavailable: the deployment is saturated, starting or gone.
        DeadlinePassed: no answer within 30 s.
    """
    with _translating(name):
        async with asyncio.timeout(DEADLINE_S):
            carry_request_id(current_request_id())
            return await method.remote(*args)


async def told(name: str, stream: AsyncIterator[_Answer]) -> AsyncIterator[_Answer]:
    """What a streaming method yields; errors as `call`'s, and no silence longer than its deadline.

    Raises:
        StudioError: as `call`.
    """
    while True:
        with _translating(name):
            try:
                async with asyncio.timeout(DEADLINE_S):
                    one = await anext(stream)
            except StopAsyncIteration:
                return
        yield one


@contextmanager
def _translating(name: str) -> Iterator[None]:
    """What Ray and Serve raise becomes what `studio.ports` promises."""
    try:
        yield
    except TimeoutError:
        raise DeadlinePassed(f"{name} did not answer in time") from None
    except BackPressureError:
        raise Unavailable(f"{name} is saturated") from None
    except (DeploymentUnavailableError, RayActorError, RayServeException) as error:
        raise Unavailable(f"{name} is starting or down") from error
    except RayTaskError as error:
        if isinstance(error.cause, StudioError):
            raise error.cause from None
        raise
    except RayError as error:
        raise Unavailable(f"{name} is starting or down") from error


class EmbedderHandle:
    """`studio.ports.Embedder` over the `Embedder` deployment."""

    def __init__(self, handle: Handle, args: HandleArgs | None = None) -> None:
        self._handle = handle
        self._version: str | None = None
        self._asked_at_s = 0.0
        self._pictures: MicroBatcher[RawQuery, EmbeddedAnswer]
        self._words: MicroBatcher[RawQuery, EmbeddedAnswer]
        # Words need not wait for pictures, which take longer.
        self._pictures, self._words = (
            _together("Embedder", handle, args or HandleArgs(), _raw_origin, _picture_bytes)
            for _ in range(2)
        )

    async def embed_image(self, image: bytes) -> Embedding:
        """See `studio.ports.Embedder`."""
        return self._seen(await call("Embedder", self._handle.embed_image, image))

    async def embed_images(self, images: Sequence[bytes]) -> list[Embedding | StudioError]:
        """See `studio.ports.Embedder`."""
        answers: list[Embedding | StudioError] = []
        for part in portions(images, PORTION, MESSAGE_BYTES):
            answers += await call("Embedder", self._handle.embed_images, part)
        return answers

    async def embed_text(self, text: str) -> Embedding:
        """See `studio.ports.Embedder`."""
        return self._seen(await call("Embedder", self._handle.embed_text, text))

    async def embed_covered(self, image: bytes, boxes: NDArray[np.float32]) -> CoveredEmbedding:
        """See `studio.ports.Embedder`."""
        covered: CoveredEmbedding = await call("Embedder", self._handle.embed_covered, image, boxes)
        return covered

    async def search(self, raw: RawQuery) -> EmbeddedAnswer:
        """See `studio.ports.Embedder`."""
        batcher = self._words if raw.image is None else self._pictures
        return await batcher.submit(raw)

    async def version(self) -> str:
        """The version in service, at most 2 s old; so a cached text costs no hop."""
        if self._version is None or time.monotonic() - self._asked_at_s > VERSION_LIFETIME_S:
            self._version = str(await call("Embedder", self._handle.version))
            self._asked_at_s = time.monotonic()
        return self._version

    def _seen(self, embedding: Embedding) -> Embedding:
        self._version, self._asked_at_s = embedding.version, time.monotonic()
        return embedding


class IndexHandle:
    """`studio.ports.Index` over the `Index` deployment."""

    def __init__(self, handle: Handle, args: HandleArgs | None = None) -> None:
        self._handle = handle
        self._searches: MicroBatcher[IndexQuery, IndexAnswer] = _together(
            "Index", handle, args or HandleArgs(), _origin
        )

    async def search(self, query: IndexQuery) -> IndexAnswer:
        """See `studio.ports.Index`."""
        return await self._searches.submit(query)

    async def status(self) -> Mapping[str, object]:
        """See `studio.ports.Index`."""
        status: Mapping[str, object] = await call("Index", self._handle.status)
        return status


class SegmenterHandle:
    """`studio.ports.Segmenter` over the `Segmenter` deployment."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def segment(self, image_key: str, prompt: SegmentPrompt, mask_key: str) -> SegmentAnswer:
        """See `studio.ports.Segmenter`."""
        answer: SegmentAnswer = await call(
            "Segmenter", self._handle.segment, image_key, prompt, mask_key
        )
        return answer

    async def version(self) -> str:
        """See `studio.ports.Segmenter`."""
        return str(await call("Segmenter", self._handle.version))


class RegressorHandle:
    """`studio.ports.Regressor` over the `Regressor` deployment."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def score(self, query: ScoreQuery) -> ScoreAnswer:
        """See `studio.ports.Regressor`."""
        answer: ScoreAnswer = await call("Regressor", self._handle.score, query)
        return answer

    async def evaluate(self, model: TrainedVersion | None, sold: Observations) -> Evaluation:
        """See `studio.ports.Regressor`."""
        told: Evaluation = await call("Regressor", self._handle.evaluate, model, sold)
        return told

    async def status(self) -> Mapping[str, object]:
        """See `studio.ports.Regressor`."""
        status: Mapping[str, object] = await call("Regressor", self._handle.status)
        return status


class TryOnHandle:
    """`studio.ports.TryOn` over the `TryOn` deployment; its steps arrive as a stream."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def dress(self, order: TryOnOrder) -> AsyncIterator[TryOnStep | TryOnMade]:
        """See `studio.ports.TryOn`."""
        carry_request_id(current_request_id())
        stream: Any = self._handle.options(stream=True).dress.remote(order)
        try:
            async for one in told("TryOn", stream):
                yield one
        finally:
            stream.cancel()

    async def load(self) -> TryOnLoad:
        """See `studio.ports.TryOn`."""
        load: TryOnLoad = await call("TryOn", self._handle.load)
        return load


class DispatcherHandle:
    """`studio.ports.Dispatcher` over the `Dispatcher` deployment."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def status(self) -> Mapping[str, object]:
        """See `studio.ports.Dispatcher`."""
        status: Mapping[str, object] = await call("Dispatcher", self._handle.status)
        return status


def _origin(query: IndexQuery) -> Origin:
    return query.origin


def _raw_origin(raw: RawQuery) -> Origin:
    return raw.query.origin


def _picture_bytes(raw: RawQuery) -> int:
    return len(raw.image or b"")


def _together(
    name: str,
    handle: Handle,
    args: HandleArgs,
    origin_of: Callable[[_Query], Origin],
    weigh: Callable[[_Query], int] = lambda _: 0,
) -> MicroBatcher[_Query, _Answer]:
    """Searches of one deployment: its `search` takes a list and answers each or with its error.

    The call itself goes under the first one's request; each query carries its own.
    """

    async def ask(queries: list[_Query]) -> list[_Answer | StudioError]:
        try:
            with continuing(origin_of(queries[0])):
                answers: list[_Answer | StudioError] = await call(name, handle.search, queries)
        except StudioError as error:  # of the call itself: nobody's fault, so everybody's
            return [error] * len(queries)
        return answers

    return MicroBatcher(
        ask,
        max_batch=args.max_batch,
        max_waiting=args.max_waiting,
        calls=args.calls,
        weigh=weigh,
        max_weight=MESSAGE_BYTES,
    )
