"""Prompts as the Segmenter gives them: what to cut out, clicks, boxes, and the padded box and the
faulty mask that a parser would come with.
"""

from dataclasses import dataclass
from typing import Any

import torch

from models.segmenter.atr import CATEGORIES, CLOTHES, PERSON, SHOES, Atr
from training.photos.street import SETS

GROUPS: tuple[frozenset[Atr], ...] = tuple(dict.fromkeys((
    *CATEGORIES.values(), PERSON, CLOTHES, SHOES,
    *(frozenset({each}) for each in Atr if each != Atr.BACKGROUND),
)))  # fmt: skip
"""What `models/segmenter/targets.py` cuts out."""
_ODDS = [4.0 if group in CATEGORIES.values() else 5.0 if group == PERSON else 1.0
         for group in GROUPS]  # fmt: skip
_LEAST, _MOST_OPEN = 0.006, 0.25
_PAD = 0.02  # of the picture: as `targets.sam_prompt`


@dataclass(frozen=True)
class Wanted:
    """masks: (m, 1, side, side) float32, what is to be cut out; counts: the same, 0 where it isn't
    known whether a pixel belongs to it, and beyond the picture; clear: (m,) float32, 0 where a
    picture shows nothing that could be asked for; inner: (height, width) of the pictures.
    """

    masks: torch.Tensor
    counts: torch.Tensor
    clear: torch.Tensor
    inner: tuple[int, int]


@dataclass(frozen=True)
class Prompts:
    """points: (m, k, 2) float32 (x, y) in pixels; labels: (m, k) as SAM's prompt encoder numbers
    them: 1 inside, 0 outside, 2 and 3 a box's corners, -1 none; guess: (m, 1, side / 2, side / 2)
    logits or None; fine: (m,) float32, 0 where there is no prompt to be made.
    """

    points: torch.Tensor
    labels: torch.Tensor
    guess: torch.Tensor | None
    fine: torch.Tensor


@dataclass(frozen=True)
class Layout:
    """What prompts of one batch consist of: points inside and outside, and whose box."""

    inside: int = 0
    outside: int = 0
    box: bool = False
    guess: bool = False


class Groups:
    """Chooses what to cut out of pictures; on the device of the codes that it is given."""

    def __init__(self, device: torch.device | str) -> None:
        self._within = torch.tensor([[codes <= group for codes in SETS] for group in GROUPS])
        touching = torch.tensor([[bool(codes & group) for codes in SETS] for group in GROUPS])
        self._within = self._within.to(device)
        self._open = touching.to(device) & ~self._within
        self._odds = torch.tensor(_ODDS, device=device)

    def choose(self, codes: torch.Tensor, inner: tuple[int, int], each: int) -> Wanted:
        """`each` groups of every picture; codes (n, side, side) -> n * each masks."""
        height, width = inner
        sample = codes[:, 1:height:4, 1:width:4].flatten(1)
        every = torch.arange(len(SETS), device=codes.device)
        shares = (sample[..., None] == every).float().mean(1)
        sure, doubtful = shares @ self._within.float().T, shares @ self._open.float().T
        odds = self._odds * (sure > _LEAST) * (doubtful < _MOST_OPEN * sure)
        chosen = torch.multinomial(odds + 1e-9, each, replacement=True).flatten()
        clear = odds.repeat_interleave(each, 0).gather(1, chosen[:, None])[:, 0] > 0
        many = codes.repeat_interleave(each, 0).flatten(1)
        pick = chosen[:, None], many
        counts = ~self._open[pick].view(-1, 1, *codes.shape[1:])
        counts[..., height:, :], counts[..., width:] = False, False
        masks = self._within[pick].view_as(counts) & counts
        return Wanted(masks.float(), counts.float(), clear.float(), inner)


def make_prompts(wanted: Wanted, layout: Layout) -> Prompts:
    """One prompt for each mask."""
    masks, fine = wanted.masks, wanted.clear
    corners, guess = frame_of(masks, wanted.inner), None
    if layout.guess:
        field = spoil(masks, wanted.inner)
        fine = fine * (field > 0.5).flatten(1).any(1)
        corners = frame_of((field > 0.5).float(), wanted.inner, _PAD)
        guess = as_guess(field, wanted.inner)
    elif layout.box:
        sides = (corners[:, 2:] - corners[:, :2]).repeat(1, 2)
        corners = _inside(corners + 0.03 * sides * torch.randn_like(sides), wanted.inner)
    points = [_clicks(masks, layout.inside), _clicks(_around(wanted), layout.outside)]
    said = [1] * layout.inside + [0] * layout.outside
    if layout.box:
        points.append(corners.view(-1, 2, 2))
        said += [2, 3]
    else:  # segment-anything adds a point that is none where there is no box
        points.append(torch.zeros_like(corners[:, None, :2]))
        said.append(-1)
    labels = torch.tensor(said, device=masks.device).expand(len(masks), -1)
    return Prompts(torch.cat(points, 1), labels, guess, fine)


def spoil(masks: torch.Tensor, inner: tuple[int, int]) -> torch.Tensor:
    """(m, 1, side, side) -> a parser's probability of them, faulty: moved, smoothed, with bitten
    edges, holes, leaks, and pieces that were taken for something else.
    """
    m, side = len(masks), masks.shape[-1]

    def some(low: float, high: float, share: float = 1.0) -> torch.Tensor:
        value = low + (high - low) * torch.rand(m, 1, 1, 1, device=masks.device)
        return value * (torch.rand(m, 1, 1, 1, device=masks.device) < share)

    half = _move(torch.nn.functional.avg_pool2d(masks, 2))
    widths = torch.stack([_blur(half, by) for by in (0, 1, 2, 4)])
    at = torch.multinomial(torch.tensor([0.3, 0.3, 0.25, 0.15], device=masks.device), m, True)
    field = widths[at, torch.arange(m, device=masks.device)] - 0.5
    wide = _blur(half, 5)
    worst = some(0, 1) * (4 * wide * (1 - wide)).clamp(min=0.15)
    for cells, most in ((5, 0.6), (10, 0.6), (21, 0.5), (43, 0.4)):
        field = field + worst * some(0, 1) ** 2 * most * _waves(m, cells, half)
    blobs = ((_waves(m, 4, half) - some(0.4, 1.6)) * 6).sigmoid()
    field = field - some(0.5, 1.2, 0.25) * blobs
    another = half.roll(1, 0) * ((_waves(m, 5, half) - some(0, 1.2)) * 6).sigmoid()
    field = field + some(0.5, 1.2, 0.2) * another
    sharp = torch.exp(some(1.6, 3.6))
    large = torch.nn.functional.interpolate(field, (side, side), mode="bilinear")
    said = (large * sharp).sigmoid()
    said[..., inner[0] :, :], said[..., inner[1] :] = 0, 0
    return said


def as_guess(said: torch.Tensor, inner: tuple[int, int]) -> torch.Tensor:
    """Probabilities (m, 1, side, side) -> logits (m, 1, side / 2, side / 2), as the segmenter and
    `SamModel` make them of a piece of the parser's plane.
    """
    piece = torch.where(said > 0.5, said, 0.0)
    guess = (torch.nn.functional.avg_pool2d(piece, 2) - 0.5) * 16.0
    guess[..., inner[0] // 2 :, :], guess[..., inner[1] // 2 :] = -8.0, -8.0
    return guess


def frame_of(masks: torch.Tensor, inner: tuple[int, int], pad: float = 0.0) -> torch.Tensor:
    """Bounding boxes (m, 4) float32: x0, y0, x1, y1 in pixels; an empty mask's is the picture."""
    found = []
    for axis, length in ((2, inner[1]), (3, inner[0])):
        seen = masks.amax(axis)[:, 0] > 0.5
        last = seen.shape[1] - seen.flip(1).float().argmax(1)
        any_ = seen.any(1)
        first = torch.where(any_, seen.float().argmax(1), 0)
        found += [first - pad * length, torch.where(any_, last, length) + pad * length]
    return _inside(torch.stack([found[0], found[2], found[1], found[3]], 1).float(), inner)


def _inside(corners: torch.Tensor, inner: tuple[int, int]) -> torch.Tensor:
    """Boxes within the picture."""
    most = torch.tensor([inner[1], inner[0]] * 2, device=corners.device)
    return torch.minimum(corners.clamp(min=0), most)


def _clicks(weights: torch.Tensor, count: int) -> torch.Tensor:
    """Points (m, count, 2) in pixels, by weights (m, 1, side, side) and seldom at a rim."""
    if not count:
        return weights.new_zeros(len(weights), 0, 2)
    half = torch.nn.functional.avg_pool2d(weights, 2)
    inner = (half * _blur(half, 4) ** 3).flatten(1) + 1e-9 * half.flatten(1) + 1e-12
    at = torch.multinomial(inner, count, replacement=True)
    side = half.shape[-1]
    return torch.stack([at % side, at // side], -1).float() * 2 + 0.5


def _around(wanted: Wanted) -> torch.Tensor:
    """Where one clicks to say what isn't wanted: near the mask rather than far from it."""
    half = torch.nn.functional.avg_pool2d(wanted.masks, 4)
    near = torch.nn.functional.interpolate(_blur(half, 8), wanted.masks.shape[-2:])
    return (1 - wanted.masks) * wanted.counts * (0.05 + near)


def _blur(planes: torch.Tensor, by: int) -> torch.Tensor:
    """The mean of 2 by + 1 squares of pixels."""
    return torch.nn.functional.avg_pool2d(planes, 2 * by + 1, 1, by)


def _waves(m: int, cells: int, like: torch.Tensor) -> torch.Tensor:
    """Smooth noise of about unit spread with so many cells a side, as large as `like`."""
    noise = torch.randn(m, 1, cells, cells, device=like.device)
    return torch.nn.functional.interpolate(
        noise, like.shape[-2:], mode="bicubic", align_corners=False
    )


def _move(planes: torch.Tensor) -> torch.Tensor:
    """Each moved and scaled a little, most of them hardly."""
    m = len(planes)
    amount: Any = 0.05 * torch.rand(m, 1, device=planes.device) ** 3
    places = torch.eye(2, 3, device=planes.device).repeat(m, 1, 1)
    places[:, :, 2] += amount * torch.randn(m, 2, device=planes.device)
    places[:, [0, 1], [0, 1]] += amount * torch.randn(m, 2, device=planes.device)
    grid = torch.nn.functional.affine_grid(places, list(planes.shape), align_corners=False)
    return torch.nn.functional.grid_sample(planes, grid, "bilinear", "zeros", False)
