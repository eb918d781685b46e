"""Divides a query into spans: the longest phrases that a language or the catalogue knows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from studio.search.understanding.catalogue import LONGEST_PHRASE, CatalogueWords, Value
from studio.search.understanding.languages.language import Role
from studio.search.understanding.languages.shared import LETTER_SIZES
from studio.search.understanding.lexicon import Entry, Term, lexicon
from studio.search.understanding.spelling import parts_of
from studio.search.understanding.tokens import Token, phrase_of, tokenize

NO_ENTRY = Entry()
MOST_WORDS = 50
"""A longer query is no list of wishes but a text; it is searched for as it stands."""
_LETTER_SIZES = frozenset(phrase_of(size) for size in LETTER_SIZES.split(","))


@dataclass
class Span:
    """Some tokens of a query and what they mean.

    Attributes:
        written: the words as they go into the text that is searched for.
        entry: everything that the phrase may mean in the languages.
        term: the meaning that fits the query.
        value: the catalogue's values that it names.
        use: what the grammar has made of it; "" while it is only words.
        is_corrected: whether it is part of a compound, or had a typing error.
    """

    tokens: Sequence[Token]
    written: str
    entry: Entry = field(default_factory=Entry)
    term: Term | None = None
    value: Value | None = None
    use: str = ""
    is_corrected: bool = False

    def has(self, *roles: Role) -> bool:
        """Whether it has one of the roles in the grammar and is not in use yet."""
        return not self.use and any(role in self.entry.roles for role in roles)

    @property
    def is_value(self) -> bool:
        """Whether it names a look or a value of the catalogue and is not in use yet."""
        is_look = self.term is not None and self.term.look != "person"
        return not self.use and (is_look or self.value is not None)

    @property
    def is_foreign(self) -> bool:
        """Whether it is a look in another language than English."""
        return self.term is not None and self.term.language != "en"

    @property
    def gap(self) -> str:
        """What stands before it."""
        return self.tokens[0].gap

    @property
    def is_after_break(self) -> bool:
        """Whether a comma or another sign stands before it."""
        return self.tokens[0].is_after_break

    @property
    def number(self) -> str:
        """Its digits; "" if it is no number."""
        first = self.tokens[0]
        return first.text if first.is_number and len(self.tokens) == 1 else ""


@dataclass
class Query:
    """The spans of a query, and the languages that it is written in, the most likely first.

    Attributes:
        tail: what stands behind the last span.
    """

    text: str
    spans: list[Span]
    tail: str
    languages: list[str] = field(default_factory=list)


def read_spans(text: str, catalogue: CatalogueWords) -> Query:
    """Divides a query, and decides what each span means."""
    tokens = tokenize(text)
    spans: list[Span] = []
    while (place := sum(len(span.tokens) for span in spans)) < len(tokens):
        spans.append(_longest(tokens, place, text, catalogue))
    languages = _languages_of(spans)
    if len(spans) <= MOST_WORDS:
        spans = [part for span in spans for part in _resolved(span, languages, catalogue)]
        languages = _languages_of(spans)
    for span in spans:
        span.term = _choose(span.entry, languages, catalogue, is_alone=len(spans) == 1)
        if span.value is None and span.term is not None:
            span.value = catalogue.value_of(span.term)
    return Query(text, spans, text[tokens[-1].end :] if tokens else "", languages)


def _longest(tokens: Sequence[Token], place: int, text: str, catalogue: CatalogueWords) -> Span:
    """The longest phrase that begins at a token."""
    entries = lexicon().entries
    end = place + 1
    while end < min(len(tokens), place + LONGEST_PHRASE) and not tokens[end].is_after_break:
        end += 1
    for last in range(end, place, -1):
        part = tokens[place:last]
        phrase = tuple(token.text for token in part)
        entry, value = entries.get(phrase), catalogue.phrases.get(phrase)
        if value is None and phrase in _LETTER_SIZES:
            value = catalogue.sizes.get(phrase)
        if value is not None and value.field == "brand":
            entry = None
        if entry is not None or value is not None:
            break
    return Span(part, text[part[0].start : part[-1].end], entry or NO_ENTRY, value=value)


def _resolved(span: Span, languages: Sequence[str], catalogue: CatalogueWords) -> list[Span]:
    """The parts of a compound, a word without its typing error, or the span as it is."""
    is_listed = span.entry is not NO_ENTRY or span.value is not None
    if is_listed or len(span.tokens) > 1 or not span.tokens[0].text.isalpha():
        return [span]
    parts = parts_of(span.tokens[0].text, languages, catalogue)
    return [Span(span.tokens, *part, is_corrected=True) for part in parts] or [span]


def _languages_of(spans: Sequence[Span]) -> list[str]:
    """The languages that alone have a word of the query, and the one that has most of them."""
    scores: Counter[str] = Counter()
    spans_of: Counter[str] = Counter()
    certain: set[str] = set()
    for span in spans:
        entry = span.entry
        shared = {term.language for term in entry.terms if term.is_shared}
        for language in sorted(entry.languages):
            spans_of[language] += 1
            scores[language] += 1 if language in shared or entry.is_shared else 2
        if entry.language:
            certain.add(entry.language)
            scores[entry.language] += 2
    ranked = sorted(scores, key=lambda own: (-spans_of[own], -scores[own], own != "en"))
    return [
        language
        for place, language in enumerate(ranked)
        if language in certain or (place == 0 and scores[language] > 1)
    ]


def _choose(
    entry: Entry, languages: Sequence[str], catalogue: CatalogueWords, *, is_alone: bool
) -> Term | None:
    """The meaning in the query's languages; else one that other words don't contradict."""
    if is_alone and "ordinary" not in entry.roles:
        terms = sorted(entry.terms, key=lambda term: catalogue.value_of(term) is None)
        return next(iter(terms), None)
    for language in languages:
        for term in entry.terms:
            if term.language == language:
                return term
    if any(not own.isdisjoint(languages) for own in entry.roles.values()):
        return None  # a word of the grammar: `für` is no fur
    return next((term for term in entry.terms if not term.is_shared), None)
