"""Captions of garments, in words that apply to drawings and photographs alike."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from drawing.draw import CATEGORIES, COLOURS, PATTERNS

UNSAID = "unsaid"  # a caption with colour and noun only: true of plain garments, perhaps of others
# The photographs' labels, then those that only drawings have.
KINDS: tuple[str, ...] = (
    "T-Shirt", "Longsleeve", "Pants", "Shoes", "Shirt", "Dress", "Outwear", "Shorts", "Hat",
    "Skirt", "Polo", "Undershirt", "Hoodie", "Blazer", "Body", "Top", "Blouse", "Jacket", "Bag",
)  # fmt: skip
KIND_OF_CATEGORY: dict[str, str] = {
    "t-shirt": "T-Shirt", "shirt": "Shirt", "dress": "Dress", "skirt": "Skirt", "trousers": "Pants",
    "shorts": "Shorts", "jacket": "Jacket", "shoes": "Shoes", "bag": "Bag",
}  # fmt: skip


@dataclass(frozen=True)
class Noun:
    """Synonyms, the kinds that they name, and the kinds for which their truth is unknown."""

    words: tuple[str, ...]
    names: tuple[str, ...]
    leaves_open: tuple[str, ...] = ()


NOUNS: tuple[Noun, ...] = (
    Noun(("t-shirt", "t shirt", "tshirt", "tee", "tee shirt"), ("T-Shirt",), ("Top",)),
    Noun(("longsleeve", "long sleeve", "long sleeve top", "long-sleeved top", "sweater", "jumper",
          "pullover", "sweatshirt"), ("Longsleeve",), ("Hoodie",)),
    Noun(("pants", "trousers", "pair of pants", "pair of trousers", "jeans", "slacks"), ("Pants",)),
    Noun(("shoes", "pair of shoes", "shoe", "footwear", "sneakers", "boots"), ("Shoes",)),
    Noun(("shirt", "button-up shirt", "button down shirt", "dress shirt"), ("Shirt",), ("Blouse",)),
    Noun(("dress", "gown", "sundress"), ("Dress",)),
    Noun(("outwear", "outerwear", "coat", "jacket"), ("Outwear", "Jacket"), ("Blazer", "Hoodie")),
    Noun(("shorts", "pair of shorts", "short pants"), ("Shorts",)),
    Noun(("hat", "cap", "beanie", "headwear"), ("Hat",)),
    Noun(("skirt", "miniskirt", "mini skirt"), ("Skirt",)),
    Noun(("polo", "polo shirt"), ("Polo",)),
    Noun(("undershirt", "tank top", "sleeveless shirt", "singlet"), ("Undershirt",), ("Top",)),
    Noun(("hoodie", "hooded sweatshirt", "hoody"), ("Hoodie",)),
    Noun(("blazer", "suit jacket", "sports coat"), ("Blazer",), ("Jacket",)),
    Noun(("body", "bodysuit", "romper", "onesie", "baby body"), ("Body",)),
    Noun(("top", "womens top"), ("Top",), ("Undershirt", "Blouse", "T-Shirt")),
    Noun(("blouse",), ("Blouse",), ("Shirt", "Top")),
    Noun(("bag", "handbag", "purse"), ("Bag",)),
)  # fmt: skip
NOUN_OF_KIND = {kind: noun for noun in reversed(NOUNS) for kind in noun.names}
_PATTERN_WORDS: dict[str, tuple[str, ...]] = {
    "plain": ("plain", "solid"),
    "striped": ("striped", "striped", "stripy", "stripe"),
    "dotted": ("dotted", "dotted", "polka dot", "spotted"),
    "checked": ("checked", "checked", "plaid", "checkered", "gingham", "tartan"),
}
_FILLERS = (
    "leather", "cotton", "denim", "wool", "new", "nice", "cheap", "summer", "winter", "casual",
    "elegant", "mens", "womens", "kids", "vintage", "stylish", "cute", "classic", "comfortable",
    "affordable", "best", "my", "the", "some", "party", "office", "sport", "running", "beach",
    "wedding", "girls", "boys", "ladies", "fashion", "brand", "quality", "soft", "warm", "designer",
    "slim", "large", "small", "size m", "silk", "linen", "knitted", "long", "loose", "basic",
)  # fmt: skip
_FRAMES = (
    "{}", "{}", "{}", "{}", "{}", "a {}", "a photo of a {}", "a photo of a {}", "a photo of {}",
    "photo of a {}", "picture of a {}", "{} for women", "{} for men", "i want a {}", "{} on sale",
    "show me a {}", "looking for a {}", "an image of a {}", "{} with pockets",
)  # fmt: skip
# Pairs of colours that an estimate from a photograph may confuse.
_CONFUSABLE = {
    frozenset(pair.split())
    for pair in (
        "navy black", "navy blue", "grey white", "grey black", "grey blue", "brown orange",
        "pink red", "pink purple", "grey brown", "red orange", "yellow orange", "white pink",
        "blue purple", "navy purple", "red brown", "black brown", "grey navy", "grey green",
    )
}  # fmt: skip


@dataclass(frozen=True)
class Traits:
    """The attributes of a picture, "" where unknown. drawn: whether the colour is certain."""

    kind: str
    colour: str
    pattern: str
    drawn: bool


@dataclass(frozen=True)
class Caption:
    """A text and the attributes that it names; None or "" for those that it doesn't."""

    text: str
    noun: Noun | None = None
    colour: str = ""
    pattern: str = ""


def is_held_out(category: str, colour: str, pattern: str) -> bool:
    """Whether training excludes this combination: about 15 %, red striped dress among them."""
    name = f"{category}|{colour}|{pattern}|28"
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % 100 < 15


def combinations(held_out: bool) -> list[tuple[str, str, str]]:
    """All (category, colour, pattern) that are, or are not, held out of training."""
    names = [(a, b, c) for a in CATEGORIES for b in COLOURS for c in PATTERNS]
    return [combination for combination in names if is_held_out(*combination) == held_out]


def write_noun_captions(rng: Generator) -> list[Caption]:
    """A caption for each noun, in NOUNS' order, without other attributes."""
    return [Caption(_frame(_pick(rng, noun.words), rng), noun) for noun in NOUNS]


def write_colour_captions(rng: Generator) -> list[Caption]:
    """A caption for each colour, in COLOURS' order, without other attributes."""
    frames = ("{}", "something {}", "{} clothes", "{} garment", "anything in {}", "{} colour")
    return [Caption(_pick(rng, frames).format(_spell(c, rng)), None, c) for c in COLOURS]


def write_pattern_captions(rng: Generator) -> list[Caption]:
    """A caption for each pattern, in PATTERNS' order, without other attributes."""
    frames = ("{}", "something {}", "{} clothes", "{} pattern")
    return [Caption(_pick(rng, frames).format(_pick(rng, _PATTERN_WORDS[p])), None, "", p)
            for p in PATTERNS]  # fmt: skip


def write_caption(traits: Traits, rng: Generator) -> Caption:
    """A caption that is true of the picture and names two or three of its attributes.

    A noun with a colour and no pattern word means a plain garment, as in the catalogue's titles.
    """
    full = NOUN_OF_KIND[traits.kind]
    noun: Noun | None = full
    colour, pattern = traits.colour, traits.pattern
    if pattern and pattern != "plain" and colour:
        dropped = rng.random()
        colour = "" if dropped < 0.15 else colour
        noun = None if 0.15 <= dropped < 0.27 else full
    text = _compose(_pick(rng, full.words) if noun else "", colour, pattern, rng)
    if colour and not pattern:
        pattern = UNSAID
    return Caption(_frame(text, rng) if noun else text, noun, colour, pattern)


def _compose(word: str, colour: str, pattern: str, rng: Generator) -> str:
    """Colour, pattern and noun in a common order, sometimes with a filler word."""
    colour_word = _spell(colour, rng) if colour else ""
    silent = not pattern or (pattern == "plain" and rng.random() < 0.7)
    texture = "" if silent else _pick(rng, _PATTERN_WORDS[pattern])
    filler = _pick(rng, _FILLERS) if rng.random() < 0.2 else ""
    words = [colour_word, texture, filler, word]
    if rng.random() < 0.2:
        words = [texture, filler, colour_word, word]
    if colour_word and word and rng.random() < 0.1:
        words = [filler, texture, word, "in", colour_word]
    return " ".join(part for part in words if part)


def relate(pictures: Sequence[Traits], captions: Sequence[Caption]) -> NDArray[np.int8]:
    """(pictures, captions) int8: 1 where the caption is true, -1 where false, 0 where unknown."""
    kinds = [KINDS.index(picture.kind) for picture in pictures]
    nouns = [NOUNS.index(c.noun) if c.noun else len(NOUNS) for c in captions]
    colours = [_place(COLOURS, p.colour) + (len(COLOURS) + 1) * p.drawn for p in pictures]
    colour_words = [_place(COLOURS, caption.colour) for caption in captions]
    patterns = [_place(PATTERNS, picture.pattern) for picture in pictures]
    pattern_words = [_place((*PATTERNS, UNSAID), caption.pattern) for caption in captions]
    kind_fits = _NOUN_TABLE[np.ix_(kinds, nouns)]
    colour_fits = _COLOUR_TABLE[np.ix_(colours, colour_words)]
    pattern_fits = _PATTERN_TABLE[np.ix_(patterns, pattern_words)]
    return np.minimum(np.minimum(kind_fits, colour_fits), pattern_fits)


def _place(words: Sequence[str], word: str) -> int:
    return words.index(word) if word else len(words)


def _judge_noun(kind: str, noun: Noun | None) -> int:
    if noun is None or kind in noun.names:
        return 1
    return 0 if kind in noun.leaves_open else -1


def _judge_pattern(pattern: str, word: str) -> int:
    if word == UNSAID:
        return 1 if pattern in ("", "plain") else 0
    return _judge_word(pattern, word)


def _judge_word(actual: str, word: str, sure: bool = True) -> int:
    if not word or actual == word:
        return 1
    return 0 if not actual or (not sure and frozenset((actual, word)) in _CONFUSABLE) else -1


_NOUN_TABLE = np.array([[_judge_noun(k, n) for n in (*NOUNS, None)] for k in KINDS], np.int8)
_COLOUR_TABLE = np.array(
    [[_judge_word(a, b, sure) for b in (*COLOURS, "")] for sure in (False, True)
     for a in (*COLOURS, "")], np.int8,
)  # fmt: skip
_PATTERN_TABLE = np.array(
    [[_judge_pattern(a, b) for b in (*PATTERNS, UNSAID, "")] for a in (*PATTERNS, "")], np.int8
)


def _pick(rng: Generator, words: Sequence[str]) -> str:
    return words[int(rng.integers(len(words)))]


def _spell(colour: str, rng: Generator) -> str:
    return "gray" if colour == "grey" and rng.random() < 0.4 else colour


def _frame(text: str, rng: Generator) -> str:
    return _pick(rng, _FRAMES).format(text)
