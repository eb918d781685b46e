"""Which rules hold for a search, and what they do together."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from models.index.shapes import NO_FILTERS, Filters
from studio.search.merchandising import (
    NO_MERCHANDISING,
    Merchandising,
    RuleForm,
    RulesForm,
    SearchSettings,
    SynonymsForm,
    place,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def rule(**fields: object) -> RuleForm:
    return RuleForm.model_validate(fields)


def test_a_query_is_compared_without_case_accents_and_spaces() -> None:
    own = rule(query="Robe d'Été", hide=["a"])
    assert own.holds("robe  d'ete", NO_FILTERS, NOW)
    assert not own.holds("robe", NO_FILTERS, NOW)
    assert not own.holds(None, NO_FILTERS, NOW)


def test_a_category_is_that_of_the_filters() -> None:
    own = rule(category="Dresses", hide=["a"])
    assert own.holds(None, Filters(category=frozenset({"dresses", "x"})), NOW)
    assert not own.holds("dresses", NO_FILTERS, NOW)


def test_rules_join_and_hiding_wins() -> None:
    rules = [
        rule(query="x", pin=["a", "b"], bury=["c"]),
        rule(query="x", pin=["d", "a"], hide=["b"]),
        rule(query="y", hide=["a"]),
    ]
    placement = place(rules, "x", NO_FILTERS, NOW)
    assert placement == Merchandising(("a", "d"), frozenset({"c"}), frozenset({"b"}))
    assert place(rules, "z", NO_FILTERS, NOW) == NO_MERCHANDISING
    assert NO_MERCHANDISING.fingerprint() == "" != placement.fingerprint()


def test_a_rule_begins_and_ends() -> None:
    own = rule(query="x", hide=["a"], **{"from": "2026-06-01T00:00:00Z",
                                         "until": "2026-06-02T00:00:00+02:00"})  # fmt: skip
    assert own.holds("x", NO_FILTERS, NOW)
    assert not own.holds("x", NO_FILTERS, datetime(2026, 6, 1, 22, tzinfo=UTC))
    assert not own.holds("x", NO_FILTERS, datetime(2026, 5, 31, tzinfo=UTC))


def test_synonyms_that_may_concern_a_phrase_go_with_it() -> None:
    synonyms = SynonymsForm(synonyms=[["sneaker", "trainer"], ["sofa", "couch"]])
    settings = SearchSettings.of(synonyms, RulesForm(rules=[]))
    assert settings.synonyms_for("white Sneakers") == (("sneaker", "trainer"),)
    assert settings.synonyms_for("dress") == ()


def test_a_form_refuses_more_rules_than_are_kept() -> None:
    one = {"query": "x", "hide": ["a"]}
    with pytest.raises(ValidationError, match="1000"):
        RulesForm.model_validate({"rules": [one] * 1001})
