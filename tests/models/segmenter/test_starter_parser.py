"""The shipped parser on people and garments that training never drew: far above what breaks it."""

import numpy as np
import pytest

from drawing.captions import combinations
from drawing.draw import Garment, draw_with_cover
from drawing.people.people import draw_person
from models.segmenter.atr import PERSON, UPPER
from models.segmenter.parser import Parser, ParserConfig, load
from models.segmenter.regions import iou
from models.segmenter.segmenter import Segmenter
from models.segmenter.shapes import SegmentPrompt

FIRST_SEED = 900_000_000


@pytest.fixture(scope="module")
def parser() -> Parser:
    return load(ParserConfig())


def test_drawn_people(parser: Parser) -> None:
    ious = []
    for seed in range(12):
        drawn = draw_person(FIRST_SEED + seed, size=(320, 224))
        parsing = parser.parse(np.asarray(drawn.image))
        person = iou(parsing.mask(PERSON), drawn.parse > 0)
        upper = iou(parsing.mask(UPPER), np.isin(drawn.parse, sorted(UPPER)))
        ious.append((person, upper if (drawn.parse == min(UPPER)).any() else np.nan))
    person, upper = np.nanmean(ious, axis=0)
    assert person > 0.85
    assert upper > 0.6


def test_drawn_garments(parser: Parser) -> None:
    segmenter = Segmenter(parser, None)
    kinds = combinations(held_out=True)
    ious = []
    for seed in range(12):
        garment = Garment(*kinds[seed * 4 % len(kinds)], style_seed=FIRST_SEED + seed)
        picture, cover = draw_with_cover(garment, 320, seed)
        features = segmenter.encode([segmenter.prepare_pixels(np.asarray(picture))])[0]
        mask = segmenter.decode(features, SegmentPrompt("garment")).mask
        ious.append(iou(mask, np.asarray(cover) > 127))
    assert np.mean(ious) > 0.85
