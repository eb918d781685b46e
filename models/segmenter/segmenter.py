"""A picture and a prompt to one mask: the parser finds the piece, SAM refines its edges."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from errors import Invalid
from models.images import decode_cutout
from models.png import encode_png
from models.segmenter.atr import NAMES, PERSON, Atr
from models.segmenter.parser import Parser, ParserConfig
from models.segmenter.parser import load as load_parser
from models.segmenter.parsing import Parsing
from models.segmenter.prompts import (
    Candidate,
    Features,
    PackedMask,
    PreparedPicture,
    Segment,
    Selection,
    require_inside,
    resize,
)
from models.segmenter.regions import bbox_of, fill_holes, iou
from models.segmenter.sam import ImageEmbedding, SamConfig, SamModel
from models.segmenter.sam import load as load_sam
from models.segmenter.shapes import Mask, Pixels, Plane, SegmentPrompt
from models.segmenter.targets import (
    choose,
    clip,
    find_target,
    fits,
    list_candidates,
    means_cutout,
    sam_prompt,
    shrink,
)

NOTHING_THERE = "there is nothing to cut out at these points or in this box"
OBJECT = frozenset({Atr.BACKGROUND})
"""The classes of a piece that SAM found and the parser has no name for."""


class Segmenter:
    """The loaded networks; holds no state of a picture.

    A picture takes three steps: `prepare` (in any thread), `encode` (in batches, in the networks'
    thread), `decode` (once a prompt). `decode` is `select`, which may run SAM, then `draw`, which
    runs no network.
    """

    def __init__(self, parser: Parser, sam: SamModel | None) -> None:
        self.parser, self.sam = parser, sam

    @property
    def version(self) -> str:
        """Identifies everything that a mask depends on."""
        return self.parser.version + (f"+{self.sam.version}" if self.sam else "")

    @property
    def side(self) -> int:
        """The largest side that a network resizes a picture to."""
        return max(*self.parser.size, self.sam.side if self.sam else 0)

    def warm_up(self) -> None:
        """Runs every network before the first request does."""
        self.parser.warm_up()
        if self.sam:
            self.sam.warm_up()

    def check(self) -> None:
        """Runs every network; RuntimeError where one is broken."""
        self.parser.check()
        if self.sam:
            self.sam.check()

    def prepare(self, data: bytes) -> PreparedPicture:
        """An encoded picture -> the networks' inputs.

        Large JPEGs are decoded at a fraction of their size, at least twice the networks' input.

        Raises:
            NotAnImage, Invalid, TooLarge: as `models.images.inspect_image`.
        """
        return self._prepare(*decode_cutout(data, shortest_side=2 * self.side))

    def prepare_pixels(self, pixels: Pixels) -> PreparedPicture:
        """Like `prepare`, of a picture that is decoded already."""
        image = Image.fromarray(pixels)
        return self._prepare(image, image.size)

    def encode(self, pictures: Sequence[PreparedPicture]) -> list[Features]:
        """Runs the part of the networks that needs no prompt, in batches."""
        planes = self.parser.probabilities([picture.pixels for picture in pictures])
        squares = [picture.square for picture in pictures if picture.square is not None]
        embeddings: Sequence[ImageEmbedding | None] = (
            self.sam.encode_all(squares) if self.sam else [None] * len(pictures)
        )
        return [
            Features(Parsing(plane, picture.height, picture.width), embedding, picture.cutout)
            for plane, picture, embedding in zip(planes, pictures, embeddings, strict=True)
        ]

    def decode(self, features: Features, prompt: SegmentPrompt) -> Segment:
        """Computes the mask of one prompt.

        Raises:
            Invalid: as `select`.
        """
        return draw(features, self.select(features, prompt))

    def select(self, features: Features, prompt: SegmentPrompt) -> Selection:
        """The piece that the prompt means, at the working size.

        Raises:
            Invalid: the piece is not in the picture, or points or box lie outside of it.
        """
        require_inside(prompt, features.parsing.height, features.parsing.width)
        candidate = (
            self._find_prompted(features, prompt)
            if prompt.points or prompt.box is not None
            else find_target(features, prompt.target or "garment")
        )
        if features.cutout is not None and means_cutout(features, prompt, candidate):
            plane = shrink(features.cutout.unpack(), features.size)
            return Selection(Candidate(plane > 0.5, plane, candidate.classes), plane, "alpha")
        plane, source = self._refine(features, candidate, prompt)
        return Selection(candidate, plane, source)

    def _prepare(
        self, image: Image.Image, size: tuple[int, int], cutout: Mask | None = None
    ) -> PreparedPicture:
        square = self.sam.preprocess(image) if self.sam else None
        packed = None if cutout is None else PackedMask.of(cutout)
        return PreparedPicture(*size, self.parser.preprocess(image), square, packed)

    def _find_prompted(self, features: Features, prompt: SegmentPrompt) -> Candidate:
        """The piece that points and box mean; SAM decides between pieces where it is confident."""
        candidates = list_candidates(features, prompt.target)
        choice = choose(candidates, features, prompt)
        if self.sam is None or features.embedding is None:
            if choice is None:
                raise Invalid(NOTHING_THERE)
            return choice
        cutout = self.sam.decode(features.embedding, [sam_prompt(features, prompt, None)])[0]
        plane = resize(cutout.probability, features.size)
        mask = clip(plane > 0.5, features, prompt)
        if choice is not None:
            rivals = [rival for rival in candidates if fits(rival.mask, features, prompt)]
            closest = max(rivals, key=lambda rival: iou(rival.mask, mask), default=choice)
            return closest if cutout.iou >= self.sam.acceptance.iou else choice
        is_sure = cutout.iou >= self.sam.acceptance.iou
        if not is_sure or not mask.any() or not fits(mask, features, prompt):
            raise Invalid(NOTHING_THERE)
        return Candidate(mask, plane, OBJECT)

    def _refine(
        self, features: Features, candidate: Candidate, prompt: SegmentPrompt
    ) -> tuple[Plane, str]:
        """The probability that the mask is cut from, at the working size: the mean of the parser's
        and SAM's where SAM's mask is accepted, else the parser's.
        """
        if self.sam is None or features.embedding is None:
            return candidate.plane, "parser"
        cutout = self.sam.decode(features.embedding, [sam_prompt(features, prompt, candidate)])[0]
        plane = resize(cutout.probability, features.size)
        is_sure = cutout.iou >= self.sam.acceptance.iou
        if is_sure and iou(plane > 0.5, candidate.mask) >= self.sam.acceptance.agreement:
            return mean_of(candidate.plane, plane), "sam"
        return candidate.plane, "parser"


def mean_of(parser_plane: Plane, sam_plane: Plane) -> Plane:
    """The mean of both networks' probabilities."""
    return np.asarray((parser_plane + sam_plane) / 2, np.float32)


def draw(features: Features, selection: Selection) -> Segment:
    """The mask at the picture's size: the plane enlarged, within the piece and its surroundings.

    Raises:
        Invalid: nothing of the piece is left at the picture's size.
    """
    parsing, candidate = features.parsing, selection.candidate
    size = (parsing.height, parsing.width)
    if selection.source == "alpha" and features.cutout is not None:
        mask = features.cutout.unpack()
    else:
        mask = resize(selection.plane, size) > 0.5
        if selection.source != "sam":
            mask &= resize(candidate.mask.astype(np.float32), size) > 0.02
        mask = fill_holes(np.asarray(mask, np.bool_))
    bbox = bbox_of(mask)
    if bbox is None:
        raise Invalid("the piece is smaller than a pixel of the picture")
    inside = candidate.plane[candidate.mask]
    score = float(np.clip(inside.mean(), 0.0, 1.0)) if inside.size else 0.0
    return Segment(
        mask, bbox, int(np.count_nonzero(mask)), round(score, 4), _label(features, candidate),
        selection.source,
        {} if candidate.classes in (PERSON, OBJECT) else parsing.category_shares(candidate.mask),
    )  # fmt: skip


def encode_mask(mask: Mask) -> bytes:
    """(h, w) bool -> PNG of one 8-bit channel, 255 inside."""
    return encode_png(mask.view(np.uint8) * 255)


def _label(features: Features, candidate: Candidate) -> str:
    """The name of a group, or of the likeliest of its classes inside the mask."""
    if candidate.classes == PERSON:
        return "Person"
    if candidate.classes == OBJECT:
        return "Object"
    totals = {
        kind: float(
            resize(features.parsing.probability({kind}), features.size)[candidate.mask].sum()
        )
        for kind in candidate.classes
    }
    return NAMES[max(totals, key=lambda kind: totals[kind])]


def load(parser: ParserConfig, sam: SamConfig | None) -> Segmenter:
    """Loads both networks; without a SAM, masks have the parser's edges."""
    return Segmenter(load_parser(parser), load_sam(sam) if sam else None)
