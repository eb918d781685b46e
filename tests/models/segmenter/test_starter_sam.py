"""The shipped SAM on garments that training never drew: far above what breaks it."""

import numpy as np
from PIL import Image

from drawing.captions import combinations
from drawing.draw import Garment, draw_with_cover
from models.segmenter.parser import ParserConfig
from models.segmenter.regions import bbox_of, iou
from models.segmenter.sam import Prompt, SamConfig
from models.segmenter.sam_checkpoint import Acceptance
from models.segmenter.segmenter import Segmenter, load
from models.segmenter.shapes import SegmentPrompt

FIRST_SEED = 900_000_000


# Slow: SAM encodes twelve pictures.
def test_a_box_is_enough_and_masks_get_no_worse() -> None:
    segmenter = load(ParserConfig(), SamConfig())
    sam, plain = segmenter.sam, Segmenter(segmenter.parser, None)
    assert sam is not None
    assert sam.acceptance != Acceptance()  # the checkpoint's own
    kinds = combinations(held_out=True)
    boxed, alone, together = [], [], []
    for seed in range(12):
        garment = Garment(*kinds[seed * 4 % len(kinds)], style_seed=FIRST_SEED + seed)
        picture, cover = draw_with_cover(garment, 320, seed)
        truth = np.asarray(cover) > 127
        features = segmenter.encode([segmenter.prepare_pixels(np.asarray(picture))])[0]
        assert features.embedding is not None
        x, y, width, height = np.array(bbox_of(truth)) / 320
        cut = sam.decode(features.embedding, [Prompt(box=(x, y, x + width, y + height))])[0]
        large = Image.fromarray(cut.probability).resize((320, 320))
        boxed.append(iou(np.asarray(large) > 0.5, truth))
        alone.append(iou(plain.decode(features, SegmentPrompt("garment")).mask, truth))
        together.append(iou(segmenter.decode(features, SegmentPrompt("garment")).mask, truth))
    assert np.mean(boxed) > 0.85
    assert np.mean(together) > np.mean(alone) - 0.001
