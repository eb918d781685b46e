"""What a search asks the index for, from its form, its words, and the rules of admins."""

from dataclasses import dataclass, replace

from models.index.shapes import SearchQuery
from studio.search.forms import (
    DEFAULT_WORDS,
    HybridSearchForm,
    SearchForm,
    SimilarSearchForm,
    TextSearchForm,
)
from studio.search.knowledge import SearchKnowledge
from studio.search.merchandising import NO_MERCHANDISING, Merchandising
from studio.search.understanding.understood import Understood


@dataclass(frozen=True)
class Intent:
    """A search and everything that is known about it before the index is asked.

    Attributes:
        understood: what was read out of the words; None: they are searched as they stand.
        placement: products that the rules place first, last, or nowhere.
        synonyms: the shop's own groups that may concern the words.
    """

    form: SearchForm
    understood: Understood | None = None
    placement: Merchandising = NO_MERCHANDISING
    synonyms: tuple[tuple[str, ...], ...] = ()

    @property
    def words(self) -> str | None:
        """The words to embed; None: there are none. Without words that are left: all of them."""
        if not isinstance(self.form, TextSearchForm | HybridSearchForm):
            return None
        return (
            self.form.query if self.understood is None else self.understood.text or self.form.query
        )

    def to_query(self) -> SearchQuery:
        """What the index is asked, without vectors."""
        form = self.form
        query = SearchQuery(
            form.top_k,
            filters=form.to_filters(),
            sort=form.sort,
            facets=tuple(dict.fromkeys(form.facets)),
            is_grouped=form.group_by is not None,
        )
        if isinstance(form, SimilarSearchForm):
            query = replace(query, exclude=frozenset({form.similar_to}))
        if isinstance(form, TextSearchForm | HybridSearchForm):
            query = replace(
                query,
                phrase=form.query,
                name=form.query,
                words_weight=form.words,
                synonyms=self.synonyms,
            )
        if isinstance(form, HybridSearchForm):
            query = replace(query, alpha=form.alpha)
        if self.understood is not None:
            query = self._as_understood(query, self.understood)
        return self.placement.applied(query, form.to_filters())

    def _as_understood(self, query: SearchQuery, understood: Understood) -> SearchQuery:
        """The query with what was read out of its words. If no word is left, everything matches."""
        is_sorted = "sort" in self.form.model_fields_set
        return replace(
            query,
            filters=understood.joined(query.filters),
            sort=query.sort if is_sorted else understood.sort or query.sort,
            phrase=understood.phrase,
            synonyms=(*query.synonyms, *understood.translations),
            words_weight=query.words_weight if understood.phrase else DEFAULT_WORDS,
        )


async def read_intent(knowledge: SearchKnowledge, form: SearchForm) -> Intent:
    """Reads the words of a search, and the rules and synonyms that concern it."""
    return await resume_intent(knowledge, form, await knowledge.understand(form))


async def resume_intent(
    knowledge: SearchKnowledge, form: SearchForm, understood: Understood | None
) -> Intent:
    """The intent of a search whose words have been read."""
    settings = await knowledge.settings()
    explicit = form.to_filters()
    filters = explicit if understood is None else understood.joined(explicit)
    words = form.query if isinstance(form, TextSearchForm | HybridSearchForm) else None
    placement = settings.placement_of(words, filters)
    synonyms = () if words is None else settings.synonyms_for(words)
    return Intent(form, understood, placement, synonyms)
