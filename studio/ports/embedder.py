"""The protocol of the embedder in service, and of the one beside it during a rollout."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from errors import SetupError
from models.embedder.shapes import Embedding
from models.index.shapes import SearchAnswer, SearchQuery
from models.sales.shapes import CoveredEmbedding

if TYPE_CHECKING:
    from errors import StudioError


class Embedder(Protocol):
    """Embeds images and texts in one space, as unit vectors; versions must not be mixed.

    During a rollout there are two: `studio.rollout.embedders.EmbedderPair`. An implementation that
    derives from this class is one embedder alone.
    """

    async def embed_image(self, image: bytes) -> Embedding:
        """Encoded image (JPEG, PNG, WebP, GIF, BMP, TIFF) -> vector.

        Raises:
            NotAnImage, Invalid, TooLarge: the picture can't be used.
            Unavailable: the deployment is saturated or down.
        """
        ...

    async def embed_images(self, images: Sequence[bytes]) -> "list[Embedding | StudioError]":
        """Many encoded images, each to its vector or its own error; searches run in between.

        Raises:
            Unavailable: the deployment is saturated or down.
        """
        ...

    async def embed_text(self, text: str) -> Embedding:
        """Any unicode text -> vector.

        Raises:
            Unavailable: the deployment is saturated or down.
        """
        ...

    async def embed_texts(self, texts: Sequence[str]) -> list[Embedding]:
        """Many texts, in order; searches run in between.

        Raises:
            Unavailable: the deployment is saturated or down.
        """
        ...

    async def embed_covered(self, image: bytes, boxes: NDArray[np.float32]) -> CoveredEmbedding:
        """Encoded image -> its vector, and one for each box (k, 4) that is covered in it.

        boxes: left, top, right, bottom, as shares of the sides of the model's input; they are
        covered with the background's colour. Raises as `embed_image` does.
        """
        ...

    async def search(self, query: SearchQuery) -> SearchAnswer:
        """Embeds the query's picture and words, then asks the index, in one call.

        Raises:
            NotAnImage, Invalid, TooLarge: the picture can't be used.
            Unavailable: embedder or index is saturated or down, no index is active, or a vector
                of the query comes from another embedder than the one in service.
        """
        ...

    async def version(self) -> str:
        """Returns the fingerprint of the checkpoint in service."""
        ...

    async def in_order(self) -> "list[Embedder]":
        """The embedder in service, then the one beside it, if one answers."""
        return [self]

    async def search_order(self) -> "list[Embedder]":
        """The embedders that may answer this caller's search; each one replaces those before it."""
        return [self]

    async def served_versions(self) -> list[str]:
        """The versions of the embedders that answer; the first one is in service.

        Raises:
            Unavailable: the embedder in service does not answer.
        """
        return [await self.version()]

    async def embed_for_all(self, image: bytes) -> tuple[Embedding, ...]:
        """The picture's vector by every embedder that answers, so that it is in both indexes.

        Only the embedder in service must succeed: a next rebuild adds what the other one lacks.
        Raises as `embed_image` does.
        """
        return (await self.embed_image(image),)

    def next(self) -> "Embedder":
        """The embedder that `STUDIO_EMBEDDER_NEXT` names.

        Raises:
            SetupError: none is deployed.
        """
        raise SetupError(
            "no next embedder is deployed: set STUDIO_EMBEDDER_NEXT or "
            "STUDIO_EMBEDDER_NEXT_PRECISION, and deploy"
        )
