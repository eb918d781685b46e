"""Texts to terms: Unicode folding, words with their compounds, and stop words."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+(?:['’.&/-][^\W_]+)*")
_PART = re.compile(r"[^\W_]+")
_ELISION = re.compile(r"\b(?:[cdjlmnst]|qu|un|all|dall|dell|nell|sull)['’](?=\w)")
_LETTERS = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe", "ı": "i", "ð": "d", "þ": "th"}
)  # letters that Unicode does not decompose
LONGEST_TERM = 40
"""Longer words are cut: nobody types them."""
_ENGLISH = (
    "a an and are at by for from has in is it its my of on or our some that the these this to was "
    "we with your i want need show me looking"
)
_GERMAN = (
    "der die das den dem des ein eine einen einem einer eines fur im mit und oder von zu zum zur "
    "aus auf am ist ich suche"
)
_FRENCH = "le la les un une des du de au aux en et ou pour avec sur je cherche"
_SPANISH = "el los las unos unas del y o para con por al una"
_ITALIAN = "il lo gli uno di da dei delle della nel per e ed su"
STOP_WORDS = frozenset(" ".join((_ENGLISH, _GERMAN, _FRENCH, _SPANISH, _ITALIAN)).split())
"""Words that say nothing of a product, in five languages; "without" is not one of them."""


def fold(text: str) -> str:
    """The text without case, accents and compatibility forms: `Été` is `ete`, `Maß` is `mass`."""
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    return "".join(letter for letter in parts if not unicodedata.combining(letter)).casefold()


def fold_key(text: str) -> str:
    """The form in which an id, a SKU or a title is compared as a whole: letters and digits."""
    return "".join(_PART.findall(fold(text)))


def words_of(text: str) -> list[tuple[str, ...]]:
    """The words of a text, each in its parts: `t-shirt` is (`t`, `shirt`), `dress` is (`dress`,).

    Articles that are written with an apostrophe (`l'été`) are left out.
    """
    return [
        tuple(part[:LONGEST_TERM] for part in _PART.findall(word)) for word in _written_words(text)
    ]


def terms_of(text: str) -> list[str]:
    """What is indexed of a text: every part of a word, and the parts joined.

    A word that begins with a single letter is indexed only as a whole: a `t-shirt` is no `shirt`.
    """
    terms: list[str] = []
    for word in _written_words(text):
        if word.isalnum():
            terms.append(word[:LONGEST_TERM])
            continue
        parts = _PART.findall(word)
        if len(parts) != 2 or len(parts[0]) > 1:
            terms += [part[:LONGEST_TERM] for part in parts]
        terms.append("".join(parts)[:LONGEST_TERM])
    return terms


def _written_words(text: str) -> list[str]:
    """The words of a text, folded, with the hyphens and points inside them."""
    folded = fold(text)
    if "'" in folded or "’" in folded:
        folded = _ELISION.sub("", folded)
    return _WORD.findall(folded)
