"""All phrases of the five languages in one table."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from studio.search.understanding.languages.english import ENGLISH
from studio.search.understanding.languages.french import FRENCH
from studio.search.understanding.languages.german import GERMAN
from studio.search.understanding.languages.italian import ITALIAN
from studio.search.understanding.languages.language import Language, Look, Role
from studio.search.understanding.languages.shared import CURRENCIES
from studio.search.understanding.languages.spanish import SPANISH
from studio.search.understanding.tokens import phrase_of

LANGUAGES = (ENGLISH, GERMAN, FRENCH, SPANISH, ITALIAN)
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})

Phrase = tuple[str, ...]


class Term(NamedTuple):
    """One meaning of a phrase: the English term of a look, in one language."""

    look: Look
    english: str
    language: str
    is_shared: bool = False


@dataclass
class Entry:
    """Everything that a phrase may mean.

    Attributes:
        roles: what it does in the grammar, and in which languages.
        currency: the ISO code, "" unless the phrase names a currency.
        is_shared: whether its roles don't tell the language.
    """

    terms: tuple[Term, ...] = ()
    roles: dict[Role, frozenset[str]] = field(default_factory=dict)
    currency: str = ""
    is_shared: bool = False

    @property
    def languages(self) -> frozenset[str]:
        """The languages that have the phrase."""
        return frozenset(t.language for t in self.terms).union(*self.roles.values())

    @property
    def language(self) -> str:
        """The language that the phrase gives away; "" if several have it."""
        languages = self.languages
        is_shared = self.is_shared or any(term.is_shared for term in self.terms)
        return "" if is_shared or len(languages) != 1 else next(iter(languages))


@dataclass(frozen=True)
class PhraseTable:
    """The phrases of all languages.

    Attributes:
        compounds: (end of a word, English garment), the longest ends first.
    """

    entries: Mapping[Phrase, Entry]
    compounds: tuple[tuple[str, str], ...]


@cache
def lexicon() -> PhraseTable:
    """The lexicon; it is made at the first call."""
    entries: dict[Phrase, Entry] = {}
    for language in LANGUAGES:
        shared = {phrase for phrase, _ in _phrases(language.shared, language.code)}
        _add_terms(entries, language, shared)
        _add_roles(entries, language, shared)
    for code, phrases in CURRENCIES.items():
        for phrase, _ in _phrases(phrases, ""):
            entries.setdefault(phrase, Entry()).currency = code
    ends = {
        phrase[0]: english
        for language in LANGUAGES
        for end, english in language.compounds.items()
        for phrase, _ in _phrases(end, language.code)
    }
    return PhraseTable(entries, tuple(sorted(ends.items(), key=lambda pair: -len(pair[0]))))


def _add_terms(entries: dict[Phrase, Entry], language: Language, shared: set[Phrase]) -> None:
    for look, terms in language.looks.items():
        for english, phrases in terms.items():
            for phrase, _ in _phrases(phrases, language.code):
                term = Term(look, english, language.code, phrase in shared)
                entry = entries.setdefault(phrase, Entry())
                if term not in entry.terms:
                    entry.terms = (*entry.terms, term)


def _add_roles(entries: dict[Phrase, Entry], language: Language, shared: set[Phrase]) -> None:
    for role, phrases in language.grammar.items():
        for phrase, _ in _phrases(phrases, language.code):
            entry = entries.setdefault(phrase, Entry())
            entry.roles[role] = entry.roles.get(role, frozenset()) | {language.code}
            entry.is_shared = entry.is_shared or phrase in shared


def _phrases(listed: str, language: str) -> Iterator[tuple[Phrase, str]]:
    """(folded phrase, as it is written) of phrases between commas; German ones also with `ue`."""
    for written in filter(str.strip, listed.split(",")):
        yield phrase_of(written), written.strip()
        if language == "de" and (spelt := written.translate(_UMLAUTS)) != written:
            yield phrase_of(spelt), spelt.strip()
