"""`Studio`: the settings, the connections and the deployments that a process has opened."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from errors import Unavailable
from studio.ports.blobs import BlobStore
from studio.ports.deployments import Dispatcher, Index, Regressor, Segmenter, TryOn
from studio.ports.embedder import Embedder

if TYPE_CHECKING:
    from db.engine import Database
    from integrations.cache import RedisCache
    from integrations.fetch import Fetcher
    from integrations.paypal.paypal import PayPal
    from settings import Settings


class Absent:
    """Stands for a part that this process has not opened; using it is an error."""

    def __getattr__(self, name: str) -> Any:
        """Refuses every use of the missing part.

        Raises:
            Unavailable: always.
        """
        if name.startswith("__"):  # copying and pickling look special methods up
            raise AttributeError(name)
        raise Unavailable("this process has opened its studio without this part")


ABSENT: Any = Absent()


@dataclass(frozen=True)
class Studio:
    """Everything that a request or a job may use; a process that needs less leaves parts out."""

    settings: "Settings"
    database: "Database"
    blobs: BlobStore = ABSENT
    cache: "RedisCache" = ABSENT
    fetcher: "Fetcher" = ABSENT
    embedder: Embedder = ABSENT
    index: Index = ABSENT
    regressor: Regressor = ABSENT
    dispatcher: Dispatcher = ABSENT
    segmenter: Segmenter = ABSENT
    tryon: TryOn = ABSENT
    paypal: "PayPal | None" = None

    async def aclose(self) -> None:
        """Closes every connection of this process; the deployments keep running."""
        for part in (self.fetcher, self.paypal, self.database, self.cache, self.blobs):
            if part is not None and not isinstance(part, Absent):
                await part.aclose()
