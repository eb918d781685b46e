"""Two embedders in service at a time: that of the active index, and one beside it."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import structlog
from numpy import float32
from numpy.typing import NDArray

from db.model_rollouts import EMBEDDER
from errors import DeadlinePassed, StudioError, Unavailable
from models.embedder.shapes import Embedding
from models.index.shapes import SearchAnswer, SearchQuery
from models.sales.shapes import CoveredEmbedding
from studio.ports import Embedder
from studio.rollout.watch import RolloutWatch

Result = TypeVar("Result")

log = structlog.get_logger("studio.rollout")


class EmbedderPair(Embedder):
    """Calls the one of two embedders that the active index was built for.

    So the activation of an index switches the embedder with it.
    """

    def __init__(self, present: Embedder, following: Embedder, watch: RolloutWatch) -> None:
        self._present = present
        self._next = following
        self._watch = watch

    async def in_order(self) -> list[Embedder]:
        """The embedders that answer: first the one in service, then the one beside it."""
        state = await self._watch.state()
        version = state.next.get(EMBEDDER)
        if version is None:
            return [self._present]
        if version == state.active_embedder:
            return [self._next, self._present]
        return [self._present, self._next]

    async def search_order(self) -> list[Embedder]:
        """Like `in_order`, but the rollout's share of callers begins with the one beside."""
        order = await self.in_order()
        return order[::-1] if await self._watch.is_for_next(EMBEDDER) else order

    async def _ask(self, ask: Callable[[Embedder], Awaitable[Result]]) -> Result:
        """Asks the embedder in service.

        Where that has just been removed, it asks the other one, if a deploy has made it the same.
        """
        in_service, *beside = await self.in_order()
        try:
            return await ask(in_service)
        except Unavailable:
            active = (await self._watch.state()).active_embedder
            if not beside or await beside[0].version() != active:
                raise
            return await ask(beside[0])

    async def embed_image(self, image: bytes) -> Embedding:
        """Embeds an encoded picture."""
        return await self._ask(lambda embedder: embedder.embed_image(image))

    async def embed_images(self, images: Sequence[bytes]) -> list[Embedding | StudioError]:
        """Embeds encoded pictures."""
        return await self._ask(lambda embedder: embedder.embed_images(images))

    async def embed_text(self, text: str) -> Embedding:
        """Embeds a text."""
        return await self._ask(lambda embedder: embedder.embed_text(text))

    async def embed_texts(self, texts: Sequence[str]) -> list[Embedding]:
        """Embeds texts."""
        return await self._ask(lambda embedder: embedder.embed_texts(texts))

    async def embed_covered(self, image: bytes, boxes: NDArray[float32]) -> CoveredEmbedding:
        """Embeds a picture, whole and with each box covered."""
        return await self._ask(lambda embedder: embedder.embed_covered(image, boxes))

    async def search(self, query: SearchQuery) -> SearchAnswer:
        """Embeds the query and searches the index with it."""
        return await self._ask(lambda embedder: embedder.search(query))

    async def version(self) -> str:
        """The version in service."""
        return await self._ask(lambda embedder: embedder.version())

    async def served_versions(self) -> list[str]:
        """The versions of the embedders that answer; the first one is in service."""
        in_service, *beside = await self.in_order()
        versions = [await in_service.version()]
        for other in beside:
            with suppress(Unavailable, DeadlinePassed):
                versions.append(await other.version())
        return versions

    async def embed_for_all(self, image: bytes) -> tuple[Embedding, ...]:
        """The picture's vector by every embedder that answers; the one in service must."""
        _, *beside = await self.in_order()
        embedding = await self.embed_image(image)
        embeddings = {embedding.version: embedding}
        for other in beside:
            try:
                embedding = await other.embed_image(image)
                embeddings.setdefault(embedding.version, embedding)
            except (Unavailable, DeadlinePassed) as error:
                log.warning("rollout.not_embedded", reason=error.detail)
        return tuple(embeddings.values())

    def next(self) -> Embedder:
        """The embedder that `STUDIO_EMBEDDER_NEXT` names, whichever is in service."""
        return self._next
