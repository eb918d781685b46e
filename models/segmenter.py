"""A picture and a prompt to one mask: the parser says what is there, SAM draws finer edges."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from errors import Invalid
from models.atr import BODY, CATEGORIES, CLOTHES, GARMENTS, NAMES, PERSON, SHOES, Atr
from models.lying import guess_garment
from models.parser import Parser, ParserConfig
from models.parser import load as load_parser
from models.parsing import Mask, Parsing, Plane
from models.regions import LEAST_SHARE, WORKING_SIDE, Bbox, bbox_of, fill_holes, iou, pieces
from models.sam import Embedding, Prompt, SamConfig, SamModel
from models.sam import load as load_sam

TARGETS = ("garment", "upper", "lower", "dress", "person")
THUMBNAIL = (208, 150)
FAINT = 0.15
"""A lying garment of this probability is looked for by its colours."""
PERSON_SHARE = 0.004
"""Less face, hair and limbs than this share of a picture is no person."""


@dataclass(frozen=True)
class Ask:
    """What to cut out. points: (x, y, inside?) and box: (x0, y0, x1, y1) in pixels of the picture
    as a viewer shows it; target: one of TARGETS, None where points or box say it.
    """

    target: str | None = None
    points: tuple[tuple[float, float, bool], ...] = ()
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Acceptance:
    """When SAM's mask is taken instead of the parser's: it is sure of itself, and it agrees.

    Both by the validation part, so that refined masks are never worse than unrefined ones
    (benchmarks/parsing_quality.py).
    """

    iou: float = 0.9
    agreement: float = 0.9


@dataclass(frozen=True)
class Features:
    """A picture, encoded once: what every prompt on it starts from.

    thumbnail: the picture at `THUMBNAIL`, for its colours. size: (height, width) to work at.
    """

    parsing: Parsing
    embedding: Embedding | None
    thumbnail: NDArray[np.uint8] | None = None
    size: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        scale = min(1.0, WORKING_SIDE / max(self.parsing.height, self.parsing.width))
        height = max(1, round(self.parsing.height * scale))
        object.__setattr__(self, "size", (height, max(1, round(self.parsing.width * scale))))


@dataclass(frozen=True)
class Draft:
    """What was found, before it is drawn at the picture's size."""

    found: "_Candidate"
    plane: Plane
    source: str


@dataclass(frozen=True)
class Segment:
    """mask: (height, width) bool at the picture's size. score: the mean probability inside, 0 to
    1. label: the words for its class. source: "parser" or "sam", whoever drew the edges.
    """

    mask: Mask
    bbox: Bbox
    area: int
    score: float
    label: str
    source: str


@dataclass(frozen=True)
class _Candidate:
    """A piece of the parsing at the working size, and the probability that it was cut from."""

    mask: Mask
    plane: Plane
    classes: frozenset[Atr]


class Segmenter:
    """Holds the networks and no state of a picture; `encode`'s parts may run in any order."""

    def __init__(
        self, parser: Parser, sam: SamModel | None, acceptance: Acceptance | None = None
    ) -> None:
        self.parser, self.sam = parser, sam
        self._acceptance = acceptance or Acceptance()

    @property
    def version(self) -> str:
        """Names everything that a mask depends on."""
        return self.parser.version + (f"+{self.sam.version}" if self.sam else "")

    @property
    def side(self) -> int:
        """No network looks at more pixels of a picture's shorter side than this."""
        return max(*self.parser.size, self.sam.side if self.sam else 0)

    def warm_up(self) -> None:
        """Run every network, so that no request pays for it."""
        self.parser.warm_up()
        if self.sam:
            self.sam.warm_up()

    def check(self) -> None:
        """Run every network; RuntimeError where one is broken."""
        self.parser.check()
        if self.sam:
            self.sam.check()

    def encode(self, image: NDArray[np.uint8]) -> Features:
        """(H, W, 3) uint8 RGB -> what `decode` takes."""
        picture = Image.fromarray(image)
        pixels = self.parser.preprocess(picture)
        parsing = Parsing(self.parser.probabilities([pixels])[0], picture.height, picture.width)
        embedding = self.sam.encode(*self.sam.preprocess(picture)) if self.sam else None
        return Features(parsing, embedding, thumbnail_of(picture))

    def decode(self, features: Features, ask: Ask) -> Segment:
        """One mask; see `draft`."""
        return finish(features, self.draft(features, ask))

    def draft(self, features: Features, ask: Ask) -> Draft:
        """The part of decoding that runs networks, at the working size.

        Raises:
            Invalid: what is asked for is not in the picture, or points and box lie outside.
        """
        require_inside(ask, features.parsing.height, features.parsing.width)
        found = (
            self._find_prompted(features, ask)
            if ask.points or ask.box is not None
            else _find_target(features, ask.target or "garment")
        )
        refined, source = self._refine(features, found, ask)
        return Draft(found, refined, source)

    def _find_prompted(self, features: Features, ask: Ask) -> _Candidate:
        """The piece that points and box mean; SAM decides which where it is sure."""
        candidates = _candidates(features, ask.target)
        chosen = _choose(candidates, features, ask)
        if self.sam is None or features.embedding is None:
            if chosen is None:
                raise Invalid(_NOTHING_THERE)
            return chosen
        cut = self.sam.decode(features.embedding, [_sam_prompt(features, ask, None)])[0]
        drawn = _resize(cut.probability, features.size)
        mask = _clip(drawn > 0.5, features, ask)
        if chosen is not None:
            rivals = [each for each in candidates if _fits(each.mask, features, ask)]
            closest = max(rivals, key=lambda each: iou(each.mask, mask), default=chosen)
            return closest if cut.iou >= self._acceptance.iou else chosen
        if cut.iou < self._acceptance.iou or not mask.any() or not _fits(mask, features, ask):
            raise Invalid(_NOTHING_THERE)
        return _Candidate(mask, drawn, frozenset({Atr.BACKGROUND}))

    def _refine(self, features: Features, found: _Candidate, ask: Ask) -> tuple[Plane, str]:
        """The probability plane that the mask is cut from, at the working size or finer."""
        if self.sam is None or features.embedding is None:
            return found.plane, "parser"
        cut = self.sam.decode(features.embedding, [_sam_prompt(features, ask, found)])[0]
        drawn = _resize(cut.probability, features.size)
        sure = cut.iou >= self._acceptance.iou
        if sure and iou(drawn > 0.5, found.mask) >= self._acceptance.agreement:
            return drawn, "sam"
        return found.plane, "parser"


_NOTHING_THERE = "there is nothing to cut out at these points or in this box"


def require_inside(ask: Ask, height: int, width: int) -> None:
    """Raises:
    Invalid: a point or the box lies outside of the picture, or no point is to be inside.
    """
    for x, y, _ in ask.points:
        if not (0 <= x < width and 0 <= y < height):
            raise Invalid(f"the point ({x:g}, {y:g}) is outside of the picture, {width} x {height}")
    if ask.points and ask.box is None and not any(inside for *_, inside in ask.points):
        raise Invalid("at least one point must be inside of what is to be cut out")
    if ask.box is not None:
        x0, y0, x1, y1 = ask.box
        if x1 - x0 < 1 or y1 - y0 < 1:
            raise Invalid("the box is empty: give [x0, y0, x1, y1] with x0 < x1 and y0 < y1")
        if not (x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height):
            raise Invalid(f"the box reaches out of the picture, {width} x {height}")


def shows_person(parsing: Parsing) -> bool:
    """Whether enough face, hair and limbs are there."""
    return bool((parsing.probability(BODY) > 0.5).mean() >= PERSON_SHARE)


def _find_target(features: Features, target: str) -> _Candidate:
    """What a target's name means in this picture.

    Raises:
        Invalid: it is not there.
    """
    parsing = features.parsing
    worn = shows_person(parsing)
    if target == "person":
        if not worn:
            raise Invalid("there is no person in the picture")
        return _largest(features, PERSON, together=0.1, what="person")
    if target in CATEGORIES:
        what = {"upper": "upper-body garment", "lower": "lower-body garment", "dress": "dress"}
        return _largest(features, CATEGORIES[target], together=0.1, what=what[target])
    if not worn:  # lying flat: one thing, whatever the parser calls its parts
        seen = _largest(features, GARMENTS, together=0.25, what="garment", least=FAINT)
        return _by_colour(features, seen)
    groups = [CATEGORIES["upper"], CATEGORIES["lower"], CATEGORIES["dress"]]
    areas = [float(parsing.probability(group).sum()) for group in groups]
    return _largest(features, groups[int(np.argmax(areas))], together=0.1, what="garment")


def thumbnail_of(picture: Image.Image) -> NDArray[np.uint8]:
    """The picture squashed to `THUMBNAIL`, (h, w, 3) uint8."""
    height, width = THUMBNAIL
    small = picture.convert("RGB").resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)
    return np.asarray(small, np.uint8)


def _by_colour(features: Features, found: _Candidate) -> _Candidate:
    """A lying garment as far as its colours reach, where the parser saw only the middle of it.

    Both must agree on where it is: the parser's piece lies in the colours' one, which is larger
    and leaves some ground.
    """
    if features.thumbnail is None:
        return found
    guess = (guess_garment(features.thumbnail) == 1).astype(np.float32)
    plane = _resize(guess, features.size)
    mask = plane > 0.5
    inside = int((mask & found.mask).sum()) / max(1, int(found.mask.sum()))
    if inside < 0.6 or mask.mean() > 0.9 or mask.sum() < 1.15 * found.mask.sum():
        return found
    return _Candidate(np.asarray(mask, np.bool_), plane, found.classes)


def _largest(
    features: Features, classes: frozenset[Atr], *, together: float, what: str, least: float = 0.5
) -> _Candidate:
    """The group's largest piece, and others of at least this share of it."""
    plane = _resize(features.parsing.probability(classes), features.size)
    crumb = int(LEAST_SHARE * plane.size)
    found = pieces(plane > 0.5, crumb) or pieces(plane > least, crumb)
    if not found:
        raise Invalid(f"there is no {what} in the picture")
    kept = [piece for piece in found if piece.sum() >= together * found[0].sum()]
    return _Candidate(np.any(kept, axis=0), plane, classes)


def _candidates(features: Features, target: str | None) -> list[_Candidate]:
    """Everything that a prompt may mean, each piece on its own."""
    groups = [*CATEGORIES.values(), SHOES, CLOTHES, PERSON]
    groups += [frozenset({each}) for each in Atr if each != Atr.BACKGROUND]
    if target == "person":
        groups = [PERSON]
    elif target is not None and target in CATEGORIES:
        groups = [CATEGORIES[target]]
    elif target == "garment":
        groups = [*CATEGORIES.values(), SHOES, *(frozenset({each}) for each in GARMENTS)]
    found = []
    for group in groups:
        plane = _resize(features.parsing.probability(group), features.size)
        least = int(LEAST_SHARE * plane.size)
        found += [_Candidate(piece, plane, group) for piece in pieces(plane > 0.5, least)]
    return found


def _choose(candidates: Sequence[_Candidate], features: Features, ask: Ask) -> _Candidate | None:
    """By points: the smallest piece that fits. By a box: the group whose pieces fill it best."""
    fitting = [each for each in candidates if _fits(each.mask, features, ask)]
    if not fitting:
        return None
    if ask.box is None:
        return min(fitting, key=lambda each: int(each.mask.sum()))
    fitting = [
        _Candidate(np.any([one.mask for one in fitting if one.classes == classes], axis=0), plane,
                   classes)
        for classes, plane in {each.classes: each.plane for each in fitting}.items()
    ]  # fmt: skip
    asked = _clip(np.ones(features.size, np.bool_), features, ask)

    def likeness(each: _Candidate) -> float:
        found = bbox_of(each.mask)
        if found is None:
            return 0.0
        x, y, width, height = found
        frame = np.zeros(features.size, np.bool_)
        frame[y : y + height, x : x + width] = True
        return iou(frame, asked)

    best = max(fitting, key=likeness)
    return _Candidate(_clip(best.mask, features, ask), best.plane, best.classes)


def _fits(mask: Mask, features: Features, ask: Ask) -> bool:
    """Whether the mask holds the points inside, none outside, and mostly lies in the box."""
    height, width = features.size
    for x, y, inside in ask.points:
        column = min(width - 1, int(x * width / features.parsing.width))
        row = min(height - 1, int(y * height / features.parsing.height))
        if bool(mask[row, column]) != inside:
            return False
    if ask.box is None:
        return True
    return int(_clip(mask, features, ask).sum()) >= 0.5 * int(mask.sum()) > 0


def _clip(mask: Mask, features: Features, ask: Ask) -> Mask:
    """The part of the mask that lies in the box, with a small margin."""
    if ask.box is None:
        return mask
    height, width = features.size
    x0, y0, x1, y1 = ask.box
    across, down = width / features.parsing.width, height / features.parsing.height
    kept = np.zeros_like(mask)
    part = (slice(max(0, int(y0 * down) - 1), int(np.ceil(y1 * down)) + 1),
            slice(max(0, int(x0 * across) - 1), int(np.ceil(x1 * across)) + 1))  # fmt: skip
    kept[part] = mask[part]
    return kept


def _sam_prompt(features: Features, ask: Ask, found: _Candidate | None) -> Prompt:
    """The caller's own points and box; where there are none, the piece's padded box. The parser's
    mask goes along as a guess.
    """
    height, width = features.parsing.height, features.parsing.width
    box, guess = None, None
    if found is not None:
        guess = np.asarray(np.where(found.mask, found.plane, 0.0), np.float32)
        around = bbox_of(found.mask)
        if around is not None:
            x, y, w, h = around
            rows, columns = features.size
            pad = 0.02
            box = (max(0.0, x / columns - pad), max(0.0, y / rows - pad),
                   min(1.0, (x + w) / columns + pad), min(1.0, (y + h) / rows + pad))  # fmt: skip
    if ask.box is not None:
        x0, y0, x1, y1 = ask.box
        box = (x0 / width, y0 / height, x1 / width, y1 / height)
    points = tuple((x / width, y / height) for x, y, _ in ask.points)
    return Prompt(points, tuple(int(inside) for *_, inside in ask.points), box, guess)


def finish(features: Features, draft: Draft) -> Segment:
    """The mask at the picture's size: the plane enlarged, inside the piece and its surroundings."""
    parsing, found, plane, source = features.parsing, draft.found, draft.plane, draft.source
    near = _resize(found.mask.astype(np.float32), (parsing.height, parsing.width)) > 0.02
    if source == "sam":
        near = np.ones_like(near)
    mask = np.asarray((_resize(plane, (parsing.height, parsing.width)) > 0.5) & near, np.bool_)
    mask = fill_holes(mask)
    bbox = bbox_of(mask)
    if bbox is None:
        raise Invalid("what was found is smaller than a pixel")
    inside = found.plane[found.mask]
    score = float(np.clip(inside.mean(), 0.0, 1.0)) if inside.size else 0.0
    label = _label(features, found)
    return Segment(mask, bbox, int(np.count_nonzero(mask)), round(score, 4), label, source)


def _label(features: Features, found: _Candidate) -> str:
    """The word for a group, or the likeliest of its classes inside the mask."""
    if found.classes == PERSON:
        return "Person"
    if found.classes == frozenset({Atr.BACKGROUND}):
        return "Object"
    totals = {
        each: float(_resize(features.parsing.probability({each}), features.size)[found.mask].sum())
        for each in found.classes
    }
    return NAMES[max(totals, key=lambda each: totals[each])]


def _resize(plane: Plane, size: tuple[int, int]) -> Plane:
    """(h, w) float32 -> (size) float32, bilinear."""
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    resized = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float32)


def load(parser: ParserConfig, sam: SamConfig | None) -> Segmenter:
    """Both networks; without a SAM the parser's edges stay."""
    return Segmenter(load_parser(parser), load_sam(sam) if sam else None)
