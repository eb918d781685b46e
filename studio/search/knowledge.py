"""What one Gateway knows of the catalogue, to understand queries; read again every few seconds."""

from studio.ports import Studio
from studio.search.forms import HybridSearchForm, SearchForm, TextSearchForm
from studio.search.refreshed import Refreshed
from studio.search.understanding.catalogue import NO_CATALOGUE, Catalogue, read_catalogue
from studio.search.understanding.understand import understand
from studio.search.understanding.understood import Understood

FRESH_S, STALE_S = 5.0, 60.0


class SearchKnowledge:
    """The catalogue's words; where the index does not answer, those of the last time."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._catalogue = Refreshed(
            "catalogue values", self._read_catalogue, NO_CATALOGUE, fresh_s=FRESH_S, stale_s=STALE_S
        )

    async def understand(self, form: SearchForm) -> Understood | None:
        """What the words of a search say; None where it has none, or where they are no filter."""
        if not isinstance(form, TextSearchForm | HybridSearchForm) or not form.understand:
            return None
        if isinstance(form, HybridSearchForm) and form.alpha >= 1:
            return None  # the picture alone
        catalogue = await self._catalogue.value()
        return understand(form.query, catalogue, form.to_filters())

    async def aclose(self) -> None:
        """Ends what is being read."""
        await self._catalogue.aclose()

    async def _read_catalogue(self) -> Catalogue:
        return read_catalogue(await self._studio.index.catalogue_values())
