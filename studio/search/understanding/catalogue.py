"""The catalogue's own words: which phrases of a query name which of its values.

A phrase in one of the five languages names a value with the same meaning: `rot` names `Red`. A
value that no language has (`Flamingo`) is named by its own spelling.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from models.index.catalogue_values import CatalogueValues
from studio.search.understanding.languages.language import Look
from studio.search.understanding.languages.shared import (
    COLOUR_NAMES,
    KIND_OF,
    MATERIAL_NAMES,
    PATTERN_NAMES,
    SHADE_OF,
    SIZE_NAMES,
)
from studio.search.understanding.lexicon import Entry, Phrase, Term, lexicon
from studio.search.understanding.tokens import phrase_of

MOSTLY = 0.7
"""A look or a brand is a filter if at least this share of the products says what theirs is.

Otherwise the filter would hide products that nobody has described; the word only ranks.
"""
LONGEST_PHRASE = 6
SHORTEST_VALUE = 3
"""Letters of an attribute's value that is read wherever it stands in a query."""
_PARTS = re.compile(r"[&,/+|]| and | und | et | y | e ")
Field = Literal["category", "brand", "attribute"]


@dataclass(frozen=True)
class Value:
    """Values of one field: (name, value) of attributes, ("", value) of categories and brands.

    Attributes:
        is_filter: whether so many products carry the field that it may narrow a search.
    """

    field: Field
    values: frozenset[tuple[str, str]]
    is_filter: bool


@dataclass(frozen=True)
class CatalogueWords:
    """What a query is compared with; made once of a vocabulary.

    Attributes:
        looks: (kind of word, English term) -> the values that it names.
        phrases: brands, and other values by their own spelling.
        sizes: sizes by their spelling, read only beside a word like `size`.
        currencies: ISO codes in use.
    """

    looks: Mapping[tuple[Look, str], Value] = field(default_factory=dict)
    phrases: Mapping[Phrase, Value] = field(default_factory=dict)
    sizes: Mapping[Phrase, Value] = field(default_factory=dict)
    currencies: frozenset[str] = frozenset()

    def value_of(self, term: Term) -> Value | None:
        """The values that a word names; None where no product has one."""
        return self.looks.get((term.look, term.english))


NO_CATALOGUE = CatalogueWords()
NO_ENTRY = Entry()


def read_catalogue(vocabulary: CatalogueValues) -> CatalogueWords:
    """Compares the catalogue's values with the words of the languages."""
    looks = _categories_by_garment(vocabulary)
    phrases: dict[Phrase, Value] = {}
    for look, names in (
        ("colour", COLOUR_NAMES), ("pattern", PATTERN_NAMES), ("material", MATERIAL_NAMES),
    ):  # fmt: skip
        own = [name for name in vocabulary.facts if _is_named(name, names)]
        looks |= _attributes_by_term(vocabulary, look, own)  # type: ignore[arg-type]
    _add_own_spellings(phrases, vocabulary)
    _add_categories(phrases, vocabulary)
    _add_brands(phrases, vocabulary, looks)
    sizes = _sizes(vocabulary)
    return CatalogueWords(looks, phrases, sizes, frozenset(vocabulary.currencies))


def _is_named(name: str, listed: str) -> bool:
    return phrase_of(name) in {phrase_of(entry) for entry in listed.split(",")}


def terms_in(text: str, look: Look) -> Iterator[Term]:
    """The terms of one kind that a catalogue's value consists of, the longest phrases first."""
    tokens, entries = phrase_of(text), lexicon().entries
    place = 0
    while place < len(tokens):
        for size in range(min(LONGEST_PHRASE, len(tokens) - place), 0, -1):
            entry = entries.get(tokens[place : place + size])
            terms = [term for term in entry.terms if term.look == look] if entry else []
            if terms:
                yield from terms
                break
        place += size


def _categories_by_garment(vocabulary: CatalogueValues) -> dict[tuple[Look, str], Value]:
    """Garment -> categories of it or of kinds of it; else those of the wider kind."""
    own: dict[str, set[str]] = {}
    read = 0
    for category, count in vocabulary.categories.items():
        garments = garments_of(category)
        read += count if garments else 0
        for garment in garments:
            own.setdefault(garment, set()).add(category)
    with_kinds = {garment: set(categories) for garment, categories in own.items()}
    for garment, categories in own.items():
        wider = KIND_OF.get(garment)
        while wider:
            with_kinds.setdefault(wider, set()).update(categories)
            wider = KIND_OF.get(wider)
    for garment in KIND_OF:
        wider = KIND_OF.get(garment)
        while garment not in with_kinds and wider:
            if wider in own:
                with_kinds[garment] = own[wider]
            wider = KIND_OF.get(wider)
    is_filter = read >= MOSTLY * vocabulary.products
    return {
        ("garment", garment): Value("category", _unnamed(categories), is_filter)
        for garment, categories in with_kinds.items()
    }


def garments_of(category: str) -> set[str]:
    """The garments that a category's name says it has: `Women > Tops & T-Shirts` has two."""
    for segment in reversed(category.split(">")):
        garments = set()
        for part in _PARTS.split(segment):
            terms = list(terms_in(part, "garment"))
            if terms:
                is_head_first = all(term.language in ("fr", "es", "it") for term in terms)
                garments.add(terms[0 if is_head_first else -1].english)
        if garments:
            return garments
    return set()


def _attributes_by_term(
    vocabulary: CatalogueValues, look: Look, names: list[str]
) -> dict[tuple[Look, str], Value]:
    """English term -> values of the attribute that most products carry, or of all of them."""
    names = sorted(names, key=lambda name: -vocabulary.carriers.get(name, 0))
    is_filter = bool(names) and _is_mostly_carried(vocabulary, names[0])
    own: dict[str, set[tuple[str, str]]] = {}
    for name in names[:1] if is_filter else names:
        for value in vocabulary.facts[name]:
            for term in terms_in(value, look):
                own.setdefault(term.english, set()).add((name, value))
    for shade, colour in SHADE_OF.items():
        if look == "colour" and shade not in own and colour in own:
            own[shade] = own[colour]
    return {
        (look, term): Value("attribute", frozenset(values), is_filter)
        for term, values in own.items()
    }


def _is_mostly_carried(vocabulary: CatalogueValues, name: str) -> bool:
    return vocabulary.carriers.get(name, 0) >= MOSTLY * vocabulary.products


def _add_own_spellings(phrases: dict[Phrase, Value], vocabulary: CatalogueValues) -> None:
    """Values of attributes that no language has, where one attribute alone has them."""
    names_of: dict[Phrase, set[tuple[str, str]]] = {}
    for name, values in vocabulary.facts.items():
        if _is_named(name, SIZE_NAMES):
            continue
        for value in values:
            phrase = phrase_of(value)
            entry = lexicon().entries.get(phrase, NO_ENTRY)
            is_ordinary = not entry.terms and entry.roles.keys() == {"ordinary"}
            if _is_readable(phrase) or (is_ordinary and len(phrase[0]) >= SHORTEST_VALUE):
                names_of.setdefault(phrase, set()).add((name, value))
    for phrase, found_in in names_of.items():
        names = {name for name, _ in found_in}
        is_filter = len(names) == 1 and _is_mostly_carried(vocabulary, min(names))
        phrases[phrase] = Value("attribute", frozenset(found_in), is_filter)


def _is_readable(phrase: Phrase) -> bool:
    """Whether a phrase can stand for a value wherever it is: long, and no word of a language."""
    text = "".join(phrase)
    is_long = 0 < len(phrase) <= LONGEST_PHRASE and len(text) >= SHORTEST_VALUE
    return is_long and not text.isdigit() and phrase not in lexicon().entries


def _add_categories(phrases: dict[Phrase, Value], vocabulary: CatalogueValues) -> None:
    """Categories that name no garment."""
    for category in vocabulary.categories:
        phrase = phrase_of(category.rsplit(">", 1)[-1])
        if _is_readable(phrase) and not garments_of(category):
            phrases[phrase] = Value("category", _unnamed([category]), is_filter=True)


def _add_brands(
    phrases: dict[Phrase, Value],
    vocabulary: CatalogueValues,
    looks: Mapping[tuple[Look, str], Value],
) -> None:
    """Brands; not those that are also a single word of a language (`Next`, `Orange`).

    A brand that is also a value of the catalogue (`Off White`) is no filter.
    """
    is_filter = sum(vocabulary.brands.values()) >= MOSTLY * vocabulary.products
    for brand in vocabulary.brands:
        for phrase in {phrase_of(brand), phrase_of(brand.replace("&", " and "))}:
            entry = lexicon().entries.get(phrase, NO_ENTRY)
            is_word = len(phrase) == 1 and bool(entry.terms or entry.roles.keys() - {"idiom"})
            if is_word or not 0 < len(phrase) <= LONGEST_PHRASE or len("".join(phrase)) < 2:
                continue
            is_value = phrase in phrases or any(term[:2] in looks for term in entry.terms)
            phrases[phrase] = Value("brand", _unnamed([brand]), is_filter and not is_value)


def _sizes(vocabulary: CatalogueValues) -> dict[Phrase, Value]:
    own: dict[Phrase, set[tuple[str, str]]] = {}
    for name, values in vocabulary.facts.items():
        if _is_named(name, SIZE_NAMES):
            for value in values:
                own.setdefault(phrase_of(value), set()).add((name, value))
    return {
        phrase: Value("attribute", frozenset(values), is_filter=True)
        for phrase, values in own.items()
        if 0 < len(phrase) <= LONGEST_PHRASE
    }


def _unnamed(values: Iterable[str]) -> frozenset[tuple[str, str]]:
    return frozenset(("", value) for value in values)
