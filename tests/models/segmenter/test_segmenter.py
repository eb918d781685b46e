"""What prompts and targets select, on exact parse maps without any network."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from drawing.draw import Garment, draw_with_cover
from drawing.people.people import DrawnPerson, draw_person
from errors import Invalid
from models.segmenter.atr import CATEGORIES, LOWER, NAMES, PERSON, UPPER, Atr, category_of
from models.segmenter.parser import Parser
from models.segmenter.parsing import Parsing
from models.segmenter.prompts import Features, Segment
from models.segmenter.regions import bbox_of, fill_holes, iou, pieces
from models.segmenter.segmenter import Segmenter
from models.segmenter.shapes import Mask, SegmentPrompt, Target
from models.segmenter.targets import shows_person
from training.photos.flat_lay import DRAWN_CODES

SIZE = (320, 224)


class NoParser:
    """Never parses; the tests supply the parse maps."""

    version = "given"


def features_of(parse: NDArray[Any], scale: int = 1) -> Features:
    """A sure parser's features of a picture `scale` times as large as its map."""
    planes = np.stack([(parse == number) for number in range(18)]).astype(np.float32)
    return Features(Parsing(planes, parse.shape[0] * scale, parse.shape[1] * scale), None)


def cut_out(features: Features, prompt: SegmentPrompt) -> Segment:
    parser: Parser = NoParser()  # type: ignore[assignment]
    return Segmenter(parser, None).decode(features, prompt)


@pytest.fixture(scope="module")
def person() -> DrawnPerson:
    garments = [Garment("t-shirt", "red", style_seed=1), Garment("trousers", "blue", style_seed=2)]
    return draw_person(11, garments, SIZE, full_figure=True)


@pytest.mark.parametrize("target", ["upper", "lower", "person", "garment"])
def test_targets_of_a_person(person: DrawnPerson, target: Target) -> None:
    segment = cut_out(features_of(person.parse), SegmentPrompt(target))
    groups: dict[Target, frozenset[Atr]] = {"upper": UPPER, "lower": LOWER, "person": PERSON}
    truth = np.isin(person.parse, sorted(groups.get(target, LOWER)))
    if target == "garment":
        assert segment.label in ("Upper-clothes", "Pants")
    else:
        assert iou(segment.mask, truth) > 0.95
    assert segment.area == int(segment.mask.sum())
    assert segment.bbox == bbox_of(segment.mask)
    assert segment.score > 0.9


def test_a_garment_that_lies_flat_is_found_without_a_person() -> None:
    for category in ("t-shirt", "dress", "skirt", "shoes", "bag"):
        _, cover = draw_with_cover(Garment(category, "green", style_seed=4), 256)
        truth = np.asarray(cover) > 127
        parse = np.where(truth, 9 if category == "shoes" else DRAWN_CODES[category], 0)
        segment = cut_out(features_of(parse.astype(np.uint8)), SegmentPrompt("garment"))
        assert iou(segment.mask, truth) > 0.97
        assert not shows_person(features_of(parse).parsing)
        with pytest.raises(Invalid, match="no person"):
            cut_out(features_of(parse), SegmentPrompt("person"))


def test_what_is_not_there_is_told(person: DrawnPerson) -> None:
    cases: tuple[tuple[NDArray[Any], Target, str], ...] = (
        (person.parse, "dress", "no dress"), (np.zeros(SIZE, np.uint8), "garment", "no garment"),
        (np.zeros(SIZE, np.uint8), "person", "no person"),
        (np.zeros((1, 1), np.uint8), "upper", "no upper-body garment"),
    )  # fmt: skip
    for parse, target, words in cases:
        with pytest.raises(Invalid, match=words):
            cut_out(features_of(parse), SegmentPrompt(target))


def test_a_ground_in_which_the_parser_sees_a_little_of_everything_is_no_garment() -> None:
    _, cover = draw_with_cover(Garment("t-shirt", "green", style_seed=4), 256)
    codes = np.where(np.asarray(cover) > 127, DRAWN_CODES["t-shirt"], 0).astype(np.uint8)
    sure = features_of(codes)
    assert cut_out(sure, SegmentPrompt("garment")).area > 0
    count = len(sure.parsing.probabilities)
    doubtful = 0.4 * sure.parsing.probabilities + 0.6 / count
    blurred = Features(Parsing(doubtful.astype(np.float32), *codes.shape), None)
    crumb = features_of(np.where(np.indices(codes.shape).sum(0) < 50, codes.max(), 0))
    for picture in (blurred, crumb):
        for target in ("garment", "upper"):
            with pytest.raises(Invalid, match=r"no (garment|upper)"):
                cut_out(picture, SegmentPrompt(target))


def at_middle(mask: Mask) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    nearest = np.argmin(np.hypot(rows - rows.mean(), columns - columns.mean()))
    return float(columns[nearest]), float(rows[nearest])


def test_a_point_selects_what_it_lies_on(person: DrawnPerson) -> None:
    for kind in (Atr.UPPER_CLOTHES, Atr.PANTS, Atr.FACE):
        truth = person.parse == kind
        x, y = at_middle(truth)
        segment = cut_out(features_of(person.parse), SegmentPrompt(points=((x, y, True),)))
        assert segment.mask[int(y), int(x)]
        assert segment.label == NAMES[kind]
    with pytest.raises(Invalid, match="nothing"):
        cut_out(features_of(person.parse), SegmentPrompt(points=((1.0, 1.0, True),)))


def test_a_point_outside_excludes(person: DrawnPerson) -> None:
    upper, lower = (at_middle(person.parse == kind) for kind in (Atr.UPPER_CLOTHES, Atr.PANTS))
    both = cut_out(
        features_of(person.parse), SegmentPrompt(points=((*upper, True), (*lower, True)))
    )
    assert both.mask[int(upper[1]), int(upper[0])]
    assert both.mask[int(lower[1]), int(lower[0])]
    one = cut_out(
        features_of(person.parse), SegmentPrompt(points=((*upper, True), (*lower, False)))
    )
    assert not one.mask[int(lower[1]), int(lower[0])]


def test_a_box_selects_the_piece_that_fills_it(person: DrawnPerson) -> None:
    for kind in ("upper", "lower"):
        truth = np.isin(person.parse, sorted(CATEGORIES[kind]))
        bbox = bbox_of(truth)
        assert bbox is not None
        x, y, w, h = bbox
        cut = cut_out(features_of(person.parse), SegmentPrompt(box=(x, y, x + w, y + h)))
        assert iou(cut.mask, truth) > 0.85, kind


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (SegmentPrompt(points=((-1, 5, True),)), "outside of the picture"),
        (SegmentPrompt(points=((500, 5, True),)), "outside of the picture"),
        (SegmentPrompt(points=((5, 5, False),)), "at least one point"),
        (SegmentPrompt(box=(10, 10, 10, 50)), "empty"),
        (SegmentPrompt(box=(50, 50, 10, 10)), "empty"),
        (SegmentPrompt(box=(0, 0, 500, 50)), "reaches out"),
    ],
)
def test_prompts_outside_are_refused(
    person: DrawnPerson, prompt: SegmentPrompt, words: str
) -> None:
    with pytest.raises(Invalid, match=words):
        cut_out(features_of(person.parse), prompt)


def test_a_mask_has_the_pictures_size_however_large(person: DrawnPerson) -> None:
    small, large = (
        cut_out(features_of(person.parse, by), SegmentPrompt("person")) for by in (1, 9)
    )
    assert large.mask.shape == (SIZE[0] * 9, SIZE[1] * 9)
    again = Image.fromarray(large.mask).resize((SIZE[1], SIZE[0]), Image.Resampling.NEAREST)
    assert iou(np.asarray(again), small.mask) > 0.97


@pytest.mark.parametrize("kind", ["t-shirt", "trousers", "dress"])
def test_a_flat_lay_garment_has_the_shares_of_its_category(kind: str) -> None:
    category = {"t-shirt": "upper", "trousers": "lower", "dress": "dress"}[kind]
    _, cover = draw_with_cover(Garment(kind, "green", style_seed=4), 256)
    parse = np.where(np.asarray(cover) > 127, DRAWN_CODES[kind], 0).astype(np.uint8)
    segment = cut_out(features_of(parse, 3), SegmentPrompt("garment"))
    assert category_of(segment.label) == category
    shares = dict(segment.category_shares)
    assert shares.pop(category) > 0.99
    assert not any(shares.values())


def test_a_garment_on_a_person_has_shares_and_a_person_has_none(person: DrawnPerson) -> None:
    features = features_of(person.parse, 2)
    for target in ("upper", "lower"):
        shares = cut_out(features, SegmentPrompt(target)).category_shares
        assert max(shares, key=lambda name: shares[name]) == target and shares[target] > 0.9
    assert cut_out(features, SegmentPrompt("person")).category_shares == {}
    assert category_of("Left-shoe") is None


def test_pieces_and_holes() -> None:
    mask = np.zeros((40, 40), bool)
    mask[2:20, 2:20], mask[30:34, 30:34], mask[38, 38] = True, True, True
    mask[10, 10] = False
    assert [int(piece.sum()) for piece in pieces(mask, 2)] == [323, 16]
    assert fill_holes(mask)[10, 10]
    ring = np.zeros((40, 40), bool)
    ring[5:35, 5:35], ring[10:30, 10:30] = True, False
    assert not fill_holes(ring)[20, 20]
    assert bbox_of(ring) == (5, 5, 30, 30)
    assert bbox_of(np.zeros((3, 3), bool)) is None


def test_a_box_cuts_what_the_parser_took_for_one_piece(person: DrawnPerson) -> None:
    both = np.isin(person.parse, [Atr.UPPER_CLOTHES, Atr.PANTS, Atr.SKIRT, Atr.BELT])
    mistaken = np.where(both, Atr.DRESS, person.parse)
    bbox = bbox_of(truth := person.parse == Atr.UPPER_CLOTHES)
    assert bbox is not None
    x, y, w, h = bbox
    h = h * 3 // 4
    cut = cut_out(features_of(mistaken), SegmentPrompt(box=(x, y, x + w, y + h)))
    assert cut.label == "Dress" and cut.bbox[1] + cut.bbox[3] <= y + h + 4
    assert iou(cut.mask[y : y + h], truth[y : y + h]) > 0.8


def test_a_click_on_a_lying_pair_or_skirt_takes_the_whole() -> None:
    for category, mistaken in (("shoes", (9, 10)), ("skirt", (5, 6))):
        _, cover = draw_with_cover(Garment(category, "green", style_seed=4), 256)
        truth = np.asarray(cover) > 127
        halves = np.where(np.arange(256) < 128, *mistaken)
        parse = np.where(truth, halves, 0).astype(np.uint8)
        x, y = at_middle(truth & (halves == mistaken[1]))
        segment = cut_out(features_of(parse), SegmentPrompt(points=((x, y, True),)))
        assert iou(segment.mask, truth) > 0.97, category
