"""Training photographs: garments cut out of street photographs, and pictures mixed in pairs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.mixup import mix_pairs
from training.photos.photos import join, split_of
from training.photos.street_garments import load_street_garments

NAMES = ("null", "hair", "skirt", "coat")


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Forty grey photographs with a red skirt, and a piece of coat that is too small to count."""
    for folder in ("photos", "parse"):
        (tmp_path / folder).mkdir()
    (tmp_path / "labels.txt").write_text("\n".join(NAMES))
    kinds = np.zeros((200, 120), np.uint8)
    kinds[80:150, 30:90], kinds[10:20, 10:20], kinds[20:60, 40:80] = 2, 3, 1
    photo = np.full((200, 120, 3), 90, np.uint8)
    photo[kinds == 2] = (220, 20, 30)
    for number in range(40):
        Image.fromarray(kinds).save(tmp_path / f"parse/{number:04}.png")
        Image.fromarray(photo).save(tmp_path / f"photos/{number:04}.jpg", quality=95)
    return tmp_path


def test_worn_garments_are_cut_out_labelled_and_set_aside(people: Path) -> None:
    worn = load_street_garments(people, 64)
    expected = [f"{n:04}-skirt" for n in range(40) if split_of(f"{n:04}") != "test"]
    assert 20 < len(expected) < 40
    assert (worn.files, set(worn.labels)) == (expected, {"Skirt"})
    assert set(worn.colours) == {"red"}
    corners, middles = worn.pixels[:, 2, 2].astype(int), worn.pixels[:, 32, 32]
    assert (middles[:, 0] > 180).all() and (middles[:, 1:] < 70).all()
    plain = (np.abs(corners - 90).max(1) > 6).mean()  # the others keep their surroundings
    assert 0.15 < plain < 0.85
    assert np.array_equal(load_street_garments(people, 64).pixels, worn.pixels)
    both = join([worn, worn])
    assert len(both.pixels) == len(both.files) == 2 * len(worn.files)


def test_a_mixed_picture_holds_both_in_the_told_shares() -> None:
    shades = torch.arange(8.0)
    pictures = shades.view(8, 1, 1, 1).expand(8, 3, 40, 40).clone()
    pasted = 0
    for seed in range(40):
        mixed, other, share = mix_pairs(pictures, np.random.default_rng(seed))
        expected_mean = share * shades + (1 - share) * shades[other]
        assert torch.allclose(mixed.mean((1, 2, 3)), expected_mean, atol=1e-4)
        pasted += bool((mixed[0] == mixed[0, 0, 0, 0]).all()) is False
    assert 5 < pasted < 35
    assert torch.equal(pictures[:, 0, 0, 0], shades)
