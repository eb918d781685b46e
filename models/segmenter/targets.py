"""What a target's name, points or a box mean in a parsed picture."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from errors import Invalid
from models.segmenter.atr import (
    BODY,
    CATEGORIES,
    CLOTHES,
    GARMENTS,
    LOWER,
    PERSON,
    SHOES,
    Atr,
)
from models.segmenter.parsing import Mask, Parsing
from models.segmenter.prompts import Ask, Candidate, Features, resize
from models.segmenter.regions import LEAST_SHARE, bbox_of, iou, pieces
from models.segmenter.sam import Prompt

FAINT = 0.15
"""A garment that lies flat counts from this probability on, where none is likelier."""
LEAST_LYING, LEAST_SEEN, MOST_DOUBT = 0.08, 0.8, 1.6
"""What is no garment lying flat: a smaller share of the picture, one whose surest fiftieth of
pixels is less probable, or one about whose classes the parser is in more doubt (nats). By
benchmarks/segmentation/no_garment.py.
"""
LEAST_FILLED = 0.5
"""A piece that is cut off at a caller's box has a bounding box that agrees with it to this IoU."""
PERSON_SHARE = 0.004
"""Less face, hair and limbs than this share of a picture is no person."""


def shows_person(parsing: Parsing) -> bool:
    """Whether enough face, hair and limbs are there."""
    return bool((parsing.probability(BODY) > 0.5).mean() >= PERSON_SHARE)


def find_target(features: Features, target: str) -> Candidate:
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
        found = _largest(features, CATEGORIES[target], together=0.1, what=what[target])
        return found if worn else _lying(features, found)
    if not worn:  # lying flat: one thing, whatever the parser calls its parts
        seen = _largest(features, GARMENTS, together=0.25, what="garment", least=FAINT)
        return _lying(features, seen)
    groups = [CATEGORIES["upper"], CATEGORIES["lower"], CATEGORIES["dress"]]
    areas = [float(parsing.probability(group).sum()) for group in groups]
    return _largest(features, groups[int(np.argmax(areas))], together=0.1, what="garment")


def _lying(features: Features, found: Candidate) -> Candidate:
    """What was found, if it looks like a garment: landscapes and bare grounds make the parser see
    crumbs, or something of everything.

    Raises:
        Invalid: it doesn't.
    """
    probabilities = features.parsing.probabilities
    doubt = -(probabilities * np.log(probabilities + 1e-6)).sum(axis=0)
    inside = float(resize(doubt, features.size)[found.mask].mean())
    seen = float(np.quantile(features.parsing.probability(GARMENTS), 0.98))
    if found.mask.mean() < LEAST_LYING or seen < LEAST_SEEN or inside > MOST_DOUBT:
        raise Invalid("there is no garment in the picture that can be told from its surroundings")
    return found


def _largest(
    features: Features, classes: frozenset[Atr], *, together: float, what: str, least: float = 0.5
) -> Candidate:
    """The group's largest piece, and others of at least this share of it."""
    plane = resize(features.parsing.probability(classes), features.size)
    crumb = int(LEAST_SHARE * plane.size)
    found = pieces(plane > 0.5, crumb) or pieces(plane > least, crumb)
    if not found:
        raise Invalid(f"there is no {what} in the picture")
    kept = [piece for piece in found if piece.sum() >= together * found[0].sum()]
    return Candidate(np.any(kept, axis=0), plane, classes)


def list_candidates(features: Features, target: str | None) -> list[Candidate]:
    """Everything that a prompt may mean, each piece on its own.

    No skirt without what the parser took for trousers in the middle of it, and a shoe that nobody
    wears is a pair, which hides the one or the other.
    """
    groups = [*CATEGORIES.values(), SHOES, CLOTHES, PERSON]
    whole = LOWER if shows_person(features.parsing) else LOWER | SHOES
    groups += [frozenset({each}) for each in Atr if each not in whole | {Atr.BACKGROUND}]
    if target == "person":
        groups = [PERSON]
    elif target is not None and target in CATEGORIES:
        groups = [CATEGORIES[target]]
    elif target == "garment":
        groups = [*CATEGORIES.values(), SHOES]
        groups += [frozenset({each}) for each in sorted(GARMENTS - whole)]
    found = []
    for group in groups:
        plane = resize(features.parsing.probability(group), features.size)
        least = int(LEAST_SHARE * plane.size)
        found += [Candidate(piece, plane, group) for piece in pieces(plane > 0.5, least)]
    return found


def choose(candidates: Sequence[Candidate], features: Features, ask: Ask) -> Candidate | None:
    """By points: the smallest piece that fits. By a box: the group whose pieces fill it best.

    Where none nearly fills it, as where the parser took shirt and skirt for one dress, pieces are
    cut off at the box, and the smallest that then fills it about as well as any is meant.
    """
    fitting = [each for each in candidates if fits(each.mask, features, ask)]
    if ask.box is None:
        return min(fitting, key=lambda each: int(each.mask.sum()), default=None)
    asked = clip(np.ones(features.size, np.bool_), features, ask)
    best = max(_merge(fitting), key=lambda each: _likeness(each.mask, asked), default=None)
    if best is not None and _likeness(best.mask, asked) >= LEAST_FILLED:
        return replace(best, mask=clip(best.mask, features, ask))
    parts = [replace(each, mask=clip(each.mask, features, ask)) for each in candidates]
    parts = _merge([each for each in parts if fits(each.mask, features, ask)])
    likely = [_likeness(each.mask, asked) for each in parts]
    least = max(LEAST_FILLED, 0.9 * max(likely, default=0.0))
    filling = [each for each, share in zip(parts, likely, strict=True) if share >= least]
    found = min(filling, key=lambda each: int(each.mask.sum()), default=best)
    return found and replace(found, mask=clip(found.mask, features, ask))


def _merge(parts: Sequence[Candidate]) -> list[Candidate]:
    """One for each group, of all its pieces."""
    groups: dict[frozenset[Atr], list[Candidate]] = {}
    for each in parts:
        groups.setdefault(each.classes, []).append(each)
    return [
        replace(some[0], mask=np.any([one.mask for one in some], axis=0))
        for some in groups.values()
    ]


def _likeness(mask: Mask, asked: Mask) -> float:
    """How well the mask's bounding box and the caller's agree."""
    found = bbox_of(mask)
    if found is None:
        return 0.0
    x, y, width, height = found
    frame = np.zeros_like(mask)
    frame[y : y + height, x : x + width] = True
    return iou(frame, asked)


def fits(mask: Mask, features: Features, ask: Ask) -> bool:
    """Whether the mask holds the points inside, none outside, and mostly lies in the box."""
    height, width = features.size
    for x, y, inside in ask.points:
        column = min(width - 1, int(x * width / features.parsing.width))
        row = min(height - 1, int(y * height / features.parsing.height))
        if bool(mask[row, column]) != inside:
            return False
    if ask.box is None:
        return True
    return int(clip(mask, features, ask).sum()) >= 0.5 * int(mask.sum()) > 0


def clip(mask: Mask, features: Features, ask: Ask) -> Mask:
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


def sam_prompt(features: Features, ask: Ask, found: Candidate | None) -> Prompt:
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
