"""A picture and a prompt to one mask: the parser says what is there, SAM draws finer edges."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from errors import Invalid
from models.segmenter.atr import NAMES, PERSON, Atr
from models.segmenter.parser import Parser, ParserConfig
from models.segmenter.parser import load as load_parser
from models.segmenter.parsing import Parsing, Plane
from models.segmenter.prompts import (
    Ask,
    Candidate,
    Draft,
    Features,
    Segment,
    require_inside,
    resize,
)
from models.segmenter.regions import bbox_of, fill_holes, iou
from models.segmenter.sam import SamConfig, SamModel
from models.segmenter.sam import load as load_sam
from models.segmenter.targets import (
    choose,
    clip,
    find_target,
    fits,
    list_candidates,
    sam_prompt,
)


class Segmenter:
    """Holds the networks and no state of a picture; `encode`'s parts may run in any order."""

    def __init__(self, parser: Parser, sam: SamModel | None) -> None:
        self.parser, self.sam = parser, sam

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
        return Features(parsing, embedding)

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
            else find_target(features, ask.target or "garment")
        )
        refined, source = self._refine(features, found, ask)
        return Draft(found, refined, source)

    def _find_prompted(self, features: Features, ask: Ask) -> Candidate:
        """The piece that points and box mean; SAM decides which where it is sure."""
        candidates = list_candidates(features, ask.target)
        chosen = choose(candidates, features, ask)
        if self.sam is None or features.embedding is None:
            if chosen is None:
                raise Invalid(NOTHING_THERE)
            return chosen
        cut = self.sam.decode(features.embedding, [sam_prompt(features, ask, None)])[0]
        drawn = resize(cut.probability, features.size)
        mask = clip(drawn > 0.5, features, ask)
        if chosen is not None:
            rivals = [each for each in candidates if fits(each.mask, features, ask)]
            closest = max(rivals, key=lambda each: iou(each.mask, mask), default=chosen)
            return closest if cut.iou >= self.sam.acceptance.iou else chosen
        if cut.iou < self.sam.acceptance.iou or not mask.any() or not fits(mask, features, ask):
            raise Invalid(NOTHING_THERE)
        return Candidate(mask, drawn, frozenset({Atr.BACKGROUND}))

    def _refine(self, features: Features, found: Candidate, ask: Ask) -> tuple[Plane, str]:
        """The probability plane that the mask is cut from, at the working size: the mean of the
        parser's and SAM's where SAM can be relied on.
        """
        if self.sam is None or features.embedding is None:
            return found.plane, "parser"
        cut = self.sam.decode(features.embedding, [sam_prompt(features, ask, found)])[0]
        drawn = resize(cut.probability, features.size)
        sure = cut.iou >= self.sam.acceptance.iou
        if sure and iou(drawn > 0.5, found.mask) >= self.sam.acceptance.agreement:
            return together(found.plane, drawn), "sam"
        return found.plane, "parser"


def together(parsed: Plane, drawn: Plane) -> Plane:
    """What parser and SAM say as one: the mean of their probabilities."""
    return np.asarray((parsed + drawn) / 2, np.float32)


NOTHING_THERE = "there is nothing to cut out at these points or in this box"


def finish(features: Features, draft: Draft) -> Segment:
    """The mask at the picture's size: the plane enlarged, inside the piece and its surroundings."""
    parsing, found, plane, source = features.parsing, draft.found, draft.plane, draft.source
    near = resize(found.mask.astype(np.float32), (parsing.height, parsing.width)) > 0.02
    if source == "sam":
        near = np.ones_like(near)
    mask = np.asarray((resize(plane, (parsing.height, parsing.width)) > 0.5) & near, np.bool_)
    mask = fill_holes(mask)
    bbox = bbox_of(mask)
    if bbox is None:
        raise Invalid("what was found is smaller than a pixel")
    inside = found.plane[found.mask]
    score = float(np.clip(inside.mean(), 0.0, 1.0)) if inside.size else 0.0
    label = _label(features, found)
    return Segment(mask, bbox, int(np.count_nonzero(mask)), round(score, 4), label, source)


def _label(features: Features, found: Candidate) -> str:
    """The word for a group, or the likeliest of its classes inside the mask."""
    if found.classes == PERSON:
        return "Person"
    if found.classes == frozenset({Atr.BACKGROUND}):
        return "Object"
    totals = {
        each: float(resize(features.parsing.probability({each}), features.size)[found.mask].sum())
        for each in found.classes
    }
    return NAMES[max(totals, key=lambda each: totals[each])]


def load(parser: ParserConfig, sam: SamConfig | None) -> Segmenter:
    """Both networks; without a SAM the parser's edges stay."""
    return Segmenter(load_parser(parser), load_sam(sam) if sam else None)
