"""Finds the piece of a parsed picture that a target's name, points or a box mean."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

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
from models.segmenter.parsing import Parsing
from models.segmenter.prompts import Candidate, Features, resize
from models.segmenter.regions import LEAST_SHARE, bbox_of, iou, pieces
from models.segmenter.sam import Prompt
from models.segmenter.shapes import Category, Mask, Plane, SegmentPrompt, Target

FAINT = 0.15
"""The least probability of a flat-lay garment's pixels if no pixel reaches 0.5."""
LEAST_FLAT_LAY, LEAST_SURE, MOST_DOUBT = 0.08, 0.8, 1.6
"""A flat-lay picture shows no garment if the piece is a smaller share of the picture, if the 98 %
quantile of the pixels' garment probability is lower, or if the mean entropy of the classes inside
(in nats) is higher. Measured by benchmarks/segmentation/no_garment.py.
"""
LEAST_FILLED = 0.5
"""The least IoU of a caller's box and the bounding box of the piece that is cut off at it."""
CUTOUT_AGREEMENT = 0.5
"""The least IoU of a cut-out's outline and the garment that the parser finds in it."""
PERSON_SHARE = 0.004
"""A picture with a smaller share of face, hair and limbs shows no person."""
NOUNS: dict[Category, str] = {
    "upper": "upper-body garment", "lower": "lower-body garment", "dress": "dress",
}  # fmt: skip


def shows_person(parsing: Parsing) -> bool:
    """Whether the picture shows enough face, hair and limbs."""
    return bool((parsing.probability(BODY) > 0.5).mean() >= PERSON_SHARE)


def find_target(features: Features, target: Target) -> Candidate:
    """The piece that a target's name means in this picture.

    Raises:
        Invalid: the picture does not show such a piece.
    """
    parsing = features.parsing
    is_worn = shows_person(parsing)
    if target == "person":
        if not is_worn:
            raise Invalid("there is no person in the picture")
        return _largest(features, PERSON, together=0.1, what="person")
    if target != "garment":
        piece = _largest(features, CATEGORIES[target], together=0.1, what=NOUNS[target])
        return piece if is_worn else _require_garment(features, piece)
    if not is_worn:  # flat-lay: one garment, even if the parser gives its parts several classes
        piece = _largest(features, GARMENTS, together=0.25, what="garment", least=FAINT)
        return _require_garment(features, piece)
    groups = list(CATEGORIES.values())
    areas = [float(parsing.probability(group).sum()) for group in groups]
    return _largest(features, groups[int(np.argmax(areas))], together=0.1, what="garment")


def means_cutout(features: Features, prompt: SegmentPrompt, garment: Candidate) -> bool:
    """Whether the picture's own outline is the mask of the garment that the prompt means.

    It is not where a person is cut out, or a whole photograph lies on a transparent canvas.
    """
    is_garment = prompt.target in (None, "garment") and not prompt.points and prompt.box is None
    if features.cutout is None or not is_garment or shows_person(features.parsing):
        return False
    return (
        iou(shrink(features.cutout.unpack(), features.size) > 0.5, garment.mask) >= CUTOUT_AGREEMENT
    )


def shrink(mask: Mask, size: tuple[int, int]) -> Plane:
    """(h, w) bool -> (size) float32: the share of each pixel's area that is inside."""
    image = Image.fromarray(mask.view(np.uint8) * 255)
    resized = image.resize((size[1], size[0]), Image.Resampling.BOX)
    return np.asarray(np.asarray(resized, np.float32) / 255, np.float32)


def _require_garment(features: Features, piece: Candidate) -> Candidate:
    """The piece of a flat-lay picture, if it looks like a garment.

    In landscapes and on bare backgrounds the parser finds small pieces, or a little of every class.

    Raises:
        Invalid: the piece does not look like a garment.
    """
    probabilities = features.parsing.probabilities
    entropy = -(probabilities * np.log(probabilities + 1e-6)).sum(axis=0)
    doubt = float(resize(entropy, features.size)[piece.mask].mean())
    surest = float(np.quantile(features.parsing.probability(GARMENTS), 0.98))
    if piece.mask.mean() < LEAST_FLAT_LAY or surest < LEAST_SURE or doubt > MOST_DOUBT:
        raise Invalid("there is no garment in the picture that stands out from its surroundings")
    return piece


def _largest(
    features: Features, classes: frozenset[Atr], *, together: float, what: str, least: float = 0.5
) -> Candidate:
    """The group's largest piece, and others of at least this share of it."""
    plane = resize(features.parsing.probability(classes), features.size)
    crumb = int(LEAST_SHARE * plane.size)
    parts = pieces(plane > 0.5, crumb) or pieces(plane > least, crumb)
    if not parts:
        raise Invalid(f"there is no {what} in the picture")
    large = [part for part in parts if part.sum() >= together * parts[0].sum()]
    return Candidate(np.any(large, axis=0), plane, classes)


def list_candidates(features: Features, target: Target | None) -> list[Candidate]:
    """All pieces that a prompt may select, as separate candidates.

    A skirt is not offered without the trousers that the parser saw in the middle of it. Shoes that
    nobody wears are offered as a pair, because one may hide the other.
    """
    groups = [*CATEGORIES.values(), SHOES, CLOTHES, PERSON]
    whole = LOWER if shows_person(features.parsing) else LOWER | SHOES
    groups += [frozenset({kind}) for kind in Atr if kind not in whole | {Atr.BACKGROUND}]
    if target == "person":
        groups = [PERSON]
    elif target == "garment":
        groups = [*CATEGORIES.values(), SHOES]
        groups += [frozenset({kind}) for kind in sorted(GARMENTS - whole)]
    elif target is not None:
        groups = [CATEGORIES[target]]
    candidates = list[Candidate]()
    for group in groups:
        plane = resize(features.parsing.probability(group), features.size)
        least = int(LEAST_SHARE * plane.size)
        candidates += [Candidate(piece, plane, group) for piece in pieces(plane > 0.5, least)]
    return candidates


def choose(
    candidates: Sequence[Candidate], features: Features, prompt: SegmentPrompt
) -> Candidate | None:
    """With points only, the smallest piece that fits; with a box, the group that fills it best.

    If no group nearly fills the box (for example because the parser labelled a shirt and a skirt as
    one dress), the pieces are clipped to the box. Among the pieces that then fill it about equally
    well, the smallest one is chosen.
    """
    fitting = [piece for piece in candidates if fits(piece.mask, features, prompt)]
    if prompt.box is None:
        return min(fitting, key=lambda piece: int(piece.mask.sum()), default=None)
    box = clip(np.ones(features.size, np.bool_), features, prompt)
    best = max(_merge(fitting), key=lambda piece: _box_iou(piece.mask, box), default=None)
    if best is not None and _box_iou(best.mask, box) >= LEAST_FILLED:
        return replace(best, mask=clip(best.mask, features, prompt))
    parts = [replace(piece, mask=clip(piece.mask, features, prompt)) for piece in candidates]
    parts = _merge([part for part in parts if fits(part.mask, features, prompt)])
    ious = [_box_iou(part.mask, box) for part in parts]
    least = max(LEAST_FILLED, 0.9 * max(ious, default=0.0))
    filling = [part for part, share in zip(parts, ious, strict=True) if share >= least]
    choice = min(filling, key=lambda part: int(part.mask.sum()), default=best)
    return choice and replace(choice, mask=clip(choice.mask, features, prompt))


def _merge(parts: Sequence[Candidate]) -> list[Candidate]:
    """One candidate for each group of classes, which joins all pieces of the group."""
    groups: dict[frozenset[Atr], list[Candidate]] = {}
    for part in parts:
        groups.setdefault(part.classes, []).append(part)
    return [
        replace(members[0], mask=np.any([member.mask for member in members], axis=0))
        for members in groups.values()
    ]


def _box_iou(mask: Mask, box: Mask) -> float:
    """IoU of the mask's bounding box and the caller's box."""
    bbox = bbox_of(mask)
    if bbox is None:
        return 0.0
    x, y, width, height = bbox
    frame = np.zeros_like(mask)
    frame[y : y + height, x : x + width] = True
    return iou(frame, box)


def fits(mask: Mask, features: Features, prompt: SegmentPrompt) -> bool:
    """Whether the mask has the inner points, no outer point, and lies mostly in the box."""
    height, width = features.size
    for x, y, inside in prompt.points:
        column = min(width - 1, int(x * width / features.parsing.width))
        row = min(height - 1, int(y * height / features.parsing.height))
        if bool(mask[row, column]) != inside:
            return False
    if prompt.box is None:
        return True
    return int(clip(mask, features, prompt).sum()) >= 0.5 * int(mask.sum()) > 0


def clip(mask: Mask, features: Features, prompt: SegmentPrompt) -> Mask:
    """The part of the mask that lies in the box, with a small margin."""
    if prompt.box is None:
        return mask
    height, width = features.size
    x0, y0, x1, y1 = prompt.box
    across, down = width / features.parsing.width, height / features.parsing.height
    clipped = np.zeros_like(mask)
    part = (slice(max(0, int(y0 * down) - 1), int(np.ceil(y1 * down)) + 1),
            slice(max(0, int(x0 * across) - 1), int(np.ceil(x1 * across)) + 1))  # fmt: skip
    clipped[part] = mask[part]
    return clipped


def sam_prompt(features: Features, prompt: SegmentPrompt, candidate: Candidate | None) -> Prompt:
    """The caller's points and box; without a box, the candidate's padded bounding box. The parser's
    mask of the candidate is SAM's mask prompt.
    """
    height, width = features.parsing.height, features.parsing.width
    box, guess = None, None
    if candidate is not None:
        guess = np.asarray(np.where(candidate.mask, candidate.plane, 0.0), np.float32)
        box = _padded_box(candidate.mask, features.size)
    if prompt.box is not None:
        x0, y0, x1, y1 = prompt.box
        box = (x0 / width, y0 / height, x1 / width, y1 / height)
    points = tuple((x / width, y / height) for x, y, _ in prompt.points)
    return Prompt(points, tuple(int(inside) for *_, inside in prompt.points), box, guess)


def _padded_box(mask: Mask, size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """The bounding box with a margin, in shares of the picture; None where the mask is empty."""
    bbox = bbox_of(mask)
    if bbox is None:
        return None
    (x, y, width, height), (rows, columns), pad = bbox, size, 0.02
    return (
        max(0.0, x / columns - pad), max(0.0, y / rows - pad),
        min(1.0, (x + width) / columns + pad), min(1.0, (y + height) / rows + pad),
    )  # fmt: skip
