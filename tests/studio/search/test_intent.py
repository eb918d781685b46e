"""What the index is asked for a form, its words and the rules."""

from models.index.shapes import Filters
from studio.search.forms import HybridSearchForm, SimilarSearchForm, TextSearchForm
from studio.search.intent import Intent
from studio.search.merchandising import Merchandising
from studio.search.understanding.understood import Understood

PRICE = Filters(price_max_e4=500_000)


def form(**fields: object) -> TextSearchForm:
    return TextSearchForm.model_validate({"query": "robe rouge moins de 50 €", **fields})


def test_words_that_were_read_become_filters_and_the_others_stay() -> None:
    understood = Understood("red dress", "robe rouge", (("robe", "dress"),), PRICE, sort="newest")
    intent = Intent(form(), understood, synonyms=(("frock", "dress"),))
    query = intent.to_query()
    assert intent.words == "red dress"
    assert (query.phrase, query.name) == ("robe rouge", "robe rouge moins de 50 €")
    assert query.synonyms == (("frock", "dress"), ("robe", "dress"))
    assert query.filters == PRICE and query.explicit == Filters() and query.sort == "newest"
    assert Intent(form(sort="relevance"), understood).to_query().sort == "relevance"


def test_a_query_without_other_words_matches_everything() -> None:
    intent = Intent(form(words=0), Understood("", "", filters=PRICE))
    query = intent.to_query()
    assert intent.words == "robe rouge moins de 50 €"
    assert query.phrase == "" and query.words_weight > 0


def test_words_as_they_stand() -> None:
    intent = Intent(form(understand=False, words=0.25))
    query = intent.to_query()
    assert (query.phrase, query.words_weight) == (intent.words, 0.25)
    assert query.filters.is_open and query.synonyms == ()


def test_a_placement_joins_what_is_left_out() -> None:
    similar = SimilarSearchForm.model_validate({"similarTo": "a"})
    placement = Merchandising(("p",), frozenset({"b"}), frozenset({"h"}))
    intent = Intent(similar, placement=placement)
    query = intent.to_query()
    assert intent.words is None and query.exclude == {"a", "h"}
    assert query.pins == ("p",) and query.buried == {"b"}


def test_a_hybrid_search_has_its_alpha() -> None:
    fields = {"query": "x", "imageUrl": "https://example.com/a.jpg", "alpha": 0.25}
    assert Intent(HybridSearchForm.model_validate(fields)).to_query().alpha == 0.25
