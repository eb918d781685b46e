"""What one Gateway knows of catalogue and searches; read again now and then, behind the answers."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from db.search_log import list_popular_queries
from db.search_settings import list_setting_revisions
from models.index.catalogue_values import NO_VALUES, CatalogueValues
from studio.ports import Studio
from studio.search.forms import HybridSearchForm, SearchForm, TextSearchForm
from studio.search.merchandising import SearchSettings, read_rules, read_synonyms
from studio.search.refreshed import Refreshed
from studio.search.suggest import Suggester, Suggestion, build_suggester, is_fit_to_show, suggest
from studio.search.understanding.catalogue import NO_CATALOGUE, CatalogueWords, read_catalogue
from studio.search.understanding.understand import understand
from studio.search.understanding.understood import Understood

FRESH_S, STALE_S = 10.0, 60.0
SETTINGS_FRESH_S, SETTINGS_STALE_S = 0.5, 1.5
"""Synonyms and rules act within two seconds: requests wait rather than use older ones."""
QUERIES_FRESH_S, QUERIES_STALE_S = 300.0, 86_400.0
POPULAR_DAYS, POPULAR_ROWS, MOST_QUERIES = 30, 50_000, 5_000
LEAST_CLIENTS = 3
"""So many networks have to search for something before it is suggested to others."""


@dataclass(frozen=True)
class Words:
    """The catalogue's words: for reading queries and for suggestions."""

    values: CatalogueValues = NO_VALUES
    queries: Mapping[str, int] = field(default_factory=dict)
    catalogue: CatalogueWords = NO_CATALOGUE
    suggester: Suggester = field(default_factory=Suggester)


class SearchKnowledge:
    """The catalogue's words and the queries of others; where they can't be read, the last ones."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._last = Words()
        self._words = Refreshed(
            "catalogue words", self._read_words, self._last, fresh_s=FRESH_S, stale_s=STALE_S
        )
        self._queries: Refreshed[dict[str, int]] = Refreshed(
            "popular queries", self._read_queries, {},
            fresh_s=QUERIES_FRESH_S, stale_s=QUERIES_STALE_S,
        )  # fmt: skip

        self._settings_read: tuple[dict[str, int], SearchSettings] = ({}, SearchSettings())
        self._settings = Refreshed(
            "search settings", self._read_settings, SearchSettings(),
            fresh_s=SETTINGS_FRESH_S, stale_s=SETTINGS_STALE_S,
        )  # fmt: skip

    async def settings(self) -> SearchSettings:
        """The admins' synonyms and rules, at most two seconds old where the database answers."""
        return await self._settings.value()

    async def understand(self, form: SearchForm) -> Understood | None:
        """What the words of a search say; None where it has none, or where they are no filter."""
        if not isinstance(form, TextSearchForm | HybridSearchForm) or not form.understand:
            return None
        if isinstance(form, HybridSearchForm) and form.alpha >= 1:
            return None  # the picture alone
        words = await self._words.value()
        return understand(form.query, words.catalogue, form.to_filters())

    async def suggest(self, phrase: str, most: int) -> list[Suggestion]:
        """Suggestions for what somebody has typed so far; raises as `suggest.suggest`."""
        words = await self._words.value()
        return await suggest(self._studio, words.suggester, phrase, most)

    async def aclose(self) -> None:
        """Ends what is being read."""
        await self._words.aclose()
        await self._queries.aclose()
        await self._settings.aclose()

    async def _read_words(self) -> Words:
        """Reads the values, and compares them with the languages' words where they have changed."""
        values = await self._studio.index.catalogue_values()
        queries = self._queries.latest()
        last = self._last
        if (values, queries) != (last.values, last.queries):
            is_same = values == last.values
            catalogue = (
                last.catalogue if is_same else await asyncio.to_thread(read_catalogue, values)
            )
            suggester = await build_suggester(values, queries)
            self._last = Words(values, queries, catalogue, suggester)
        return self._last

    async def _read_settings(self) -> SearchSettings:
        """Reads the documents only where one of them has another revision."""
        async with self._studio.database.read() as session:
            revisions = await list_setting_revisions(session)
        if revisions != self._settings_read[0]:
            database = self._studio.database
            settings = SearchSettings.of(await read_synonyms(database), await read_rules(database))
            self._settings_read = (revisions, settings)
        return self._settings_read[1]

    async def _read_queries(self) -> dict[str, int]:
        async with self._studio.database.read() as session:
            queries = await list_popular_queries(
                session, days=POPULAR_DAYS, rows=POPULAR_ROWS, clients=LEAST_CLIENTS,
                limit=MOST_QUERIES,
            )  # fmt: skip
        self._words.expire()
        return {query: count for query, count in queries.items() if is_fit_to_show(query)}
