"""The protocols of the deployments besides the embedder."""

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Protocol

from models.index.catalogue_values import CatalogueValues
from models.index.shapes import SearchAnswer, SearchQuery
from models.sales.shapes import Evaluation, Observations, ScoreAnswer, ScoreQuery, TrainedVersion

if TYPE_CHECKING:
    from models.segmenter.shapes import SegmentAnswer, SegmentPrompt
    from models.tryon.shapes import (
        TryOnLoad,
        TryOnOrder,
        TryOnResult,
        TryOnStep,
        TryOnTicket,
    )


class Index(Protocol):
    """Finds the products nearest to vectors."""

    async def search(self, query: SearchQuery) -> SearchAnswer:
        """Answers a query whose vectors are known.

        Raises:
            Unavailable: no version is active, the query's vectors come from another embedder than
                the index, or too many searches wait.
        """
        ...

    async def status(self) -> Mapping[str, object]:
        """`version`, `embedderVersion`, `count`, `appliedSeq` and `rebuildDue` of the replica that
        answers; without an active version, no `rebuildDue`.
        """
        ...

    async def complete(self, phrase: str, most: int) -> list[str]:
        """Ids of products whose words begin as the phrase does, best first; raises as `search`."""
        ...

    async def catalogue_values(self) -> CatalogueValues:
        """The values that the products carry, counted some seconds ago; raises as `search`."""
        ...


class Segmenter(Protocol):
    """Cuts garments and people out of pictures; reads and writes the blobs itself."""

    async def segment(
        self, image_key: str, prompt: "SegmentPrompt", mask_key: str
    ) -> "SegmentAnswer":
        """Picture blob -> mask blob: PNG, one 8-bit channel, the picture's size, 255 inside.

        Raises:
            NotFound: there is no such picture.
            NotAnImage, Invalid, TooLarge: the picture or the prompt can't be used, or the picture
                does not show what the prompt asks for.
            Unavailable: the deployment is saturated or down.
        """
        ...

    async def version(self) -> str:
        """Identifies the networks in service."""
        ...


class Regressor(Protocol):
    """Sales scores of pictures' vectors, by a merchant's own version or the starter."""

    async def score(self, query: ScoreQuery) -> ScoreAnswer:
        """Predicts the sales score of a picture.

        Raises:
            Conflict: the version was trained for another embedder than the one in service.
            NotFound: its files are missing.
            Invalid: its files are damaged.
            Unavailable: the deployment is saturated or down.
        """
        ...

    async def evaluate(
        self, version: TrainedVersion | None, observations: Observations
    ) -> Evaluation:
        """Measures and plots of a version on observed sales; raises as `score` does."""
        ...

    async def status(self) -> Mapping[str, object]:
        """`starter`, the starter's `embedderVersion`, and the versions that are `loaded`."""
        ...


class TryOn(Protocol):
    """Dresses people, one at a time; owners take turns, an owner's earliest try-on comes first."""

    def dress(
        self, order: "TryOnOrder", ticket: "TryOnTicket"
    ) -> AsyncIterator["TryOnStep | TryOnResult"]:
        """Yields steps, at least one every few seconds, and the result at the end.

        The picture is written to the ticket's key, a lossless PNG. Closing the iterator cancels
        the work at its next step.

        Raises:
            NotFound: a blob is missing.
            NotAnImage, Invalid, TooLarge: a picture can't be used; the error's `subject` says
                which.
            Unavailable: too many try-ons of this owner or of all wait already, or the deployment
                is down.
        """
        ...

    async def load(self) -> "TryOnLoad":
        """Returns how many try-ons wait, and the limits of direct try-ons.

        Raises:
            Unavailable: the deployment is down.
        """
        ...


class Dispatcher(Protocol):
    """Starts queued jobs."""

    async def status(self) -> Mapping[str, object]:
        """The dispatcher's state.

        The `name` of the replica that answers, `silentS` (the seconds since its last turn), the
        types of its `running` jobs, and its `warnings`; of all replicas, the `backlog` by type and
        the number of `overdue` jobs.

        Raises:
            Unavailable: no dispatcher answers.
        """
        ...
