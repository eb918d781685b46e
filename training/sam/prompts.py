"""Prompts like the Segmenter's: points and boxes of callers, and the parser's box and mask."""

from dataclasses import dataclass
from typing import Any

import torch

from models.segmenter.atr import CATEGORIES, CLOTHES, PERSON, SHOES, Atr
from training.photos.street import SETS

GROUPS: tuple[frozenset[Atr], ...] = tuple(dict.fromkeys((
    *CATEGORIES.values(), PERSON, CLOTHES, SHOES,
    *(frozenset({each}) for each in Atr if each != Atr.BACKGROUND),
)))  # fmt: skip
"""The groups of classes that `models/segmenter/targets.py` cuts out."""
_ODDS = [4.0 if group in CATEGORIES.values() else 5.0 if group == PERSON else 1.0
         for group in GROUPS]  # fmt: skip
_LEAST, _MOST_OPEN = 0.006, 0.25
_PAD = 0.02  # of the picture, as in `targets.sam_prompt`


@dataclass(frozen=True)
class TargetMasks:
    """The ground truth of m prompts.

    masks: (m, 1, side, side) float32; counts: the same, 0 where the ground truth is unknown and in
    the padding; clear: (m,) float32, 0 where a picture shows no possible target; inner: (height,
    width) of the pictures without padding.
    """

    masks: torch.Tensor
    counts: torch.Tensor
    clear: torch.Tensor
    inner: tuple[int, int]


@dataclass(frozen=True)
class Prompts:
    """Prompts as SAM's prompt encoder takes them.

    points: (m, k, 2) float32 (x, y) in pixels; labels: (m, k), 1 inside, 0 outside, 2 and 3 a
    box's corners, -1 none; mask_input: (m, 1, side / 2, side / 2) logits or None; is_valid: (m,)
    float32, 0 where no prompt could be made.
    """

    points: torch.Tensor
    labels: torch.Tensor
    mask_input: torch.Tensor | None
    is_valid: torch.Tensor


@dataclass(frozen=True)
class PromptLayout:
    """The parts of a batch's prompts: the number of points inside and outside, a box, a mask."""

    inside: int = 0
    outside: int = 0
    box: bool = False
    mask_input: bool = False


class TargetGroups:
    """Chooses random targets in pictures, on the device of their codes."""

    def __init__(self, device: torch.device | str) -> None:
        self._within = torch.tensor([[codes <= group for codes in SETS] for group in GROUPS])
        touching = torch.tensor([[bool(codes & group) for codes in SETS] for group in GROUPS])
        self._within = self._within.to(device)
        self._open = touching.to(device) & ~self._within
        self._odds = torch.tensor(_ODDS, device=device)

    def choose(self, codes: torch.Tensor, inner: tuple[int, int], count: int) -> TargetMasks:
        """`count` targets in every picture; codes (n, side, side) -> n * count masks."""
        height, width = inner
        sample = codes[:, 1:height:4, 1:width:4].flatten(1)
        all_codes = torch.arange(len(SETS), device=codes.device)
        shares = (sample[..., None] == all_codes).float().mean(1)
        certain, doubtful = shares @ self._within.float().T, shares @ self._open.float().T
        odds = self._odds * (certain > _LEAST) * (doubtful < _MOST_OPEN * certain)
        group = torch.multinomial(odds + 1e-9, count, replacement=True).flatten()
        clear = odds.repeat_interleave(count, 0).gather(1, group[:, None])[:, 0] > 0
        repeated = codes.repeat_interleave(count, 0).flatten(1)
        pick = group[:, None], repeated
        counts = ~self._open[pick].view(-1, 1, *codes.shape[1:])
        counts[..., height:, :], counts[..., width:] = False, False
        masks = self._within[pick].view_as(counts) & counts
        return TargetMasks(masks.float(), counts.float(), clear.float(), inner)


def make_prompts(targets: TargetMasks, layout: PromptLayout) -> Prompts:
    """A prompt for each mask."""
    masks, is_valid = targets.masks, targets.clear
    corners, mask_input = frame_of(masks, targets.inner), None
    if layout.mask_input:
        field = corrupt(masks, targets.inner)
        is_valid = is_valid * (field > 0.5).flatten(1).any(1)
        corners = frame_of((field > 0.5).float(), targets.inner, _PAD)
        mask_input = as_mask_input(field, targets.inner)
    elif layout.box:
        sides = (corners[:, 2:] - corners[:, :2]).repeat(1, 2)
        corners = _inside(corners + 0.03 * sides * torch.randn_like(sides), targets.inner)
    points = [_clicks(masks, layout.inside), _clicks(_around(targets), layout.outside)]
    point_labels = [1] * layout.inside + [0] * layout.outside
    if layout.box:
        points.append(corners.view(-1, 2, 2))
        point_labels += [2, 3]
    else:  # without a box, segment-anything adds a padding point
        points.append(torch.zeros_like(corners[:, None, :2]))
        point_labels.append(-1)
    labels = torch.tensor(point_labels, device=masks.device).expand(len(masks), -1)
    return Prompts(torch.cat(points, 1), labels, mask_input, is_valid)


def corrupt(masks: torch.Tensor, inner: tuple[int, int]) -> torch.Tensor:
    """Masks (m, 1, side, side) -> probabilities with the errors of a parser: moved and smoothed,
    with ragged edges, holes, leaks and pieces of other objects.
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
    probability = (large * sharp).sigmoid()
    probability[..., inner[0] :, :], probability[..., inner[1] :] = 0, 0
    return probability


def as_mask_input(probability: torch.Tensor, inner: tuple[int, int]) -> torch.Tensor:
    """Probabilities (m, 1, side, side) -> logits (m, 1, side / 2, side / 2), computed as the
    Segmenter and `SamModel` do it for a piece of the parser's mask.
    """
    piece = torch.where(probability > 0.5, probability, 0.0)
    mask_input = (torch.nn.functional.avg_pool2d(piece, 2) - 0.5) * 16.0
    mask_input[..., inner[0] // 2 :, :], mask_input[..., inner[1] // 2 :] = -8.0, -8.0
    return mask_input


def frame_of(masks: torch.Tensor, inner: tuple[int, int], pad: float = 0.0) -> torch.Tensor:
    """Bounding boxes (m, 4) float32: x0, y0, x1, y1 in pixels; the picture for an empty mask."""
    ends = []
    for axis, length in ((2, inner[1]), (3, inner[0])):
        occupied = masks.amax(axis)[:, 0] > 0.5
        last = occupied.shape[1] - occupied.flip(1).float().argmax(1)
        any_ = occupied.any(1)
        first = torch.where(any_, occupied.float().argmax(1), 0)
        ends += [first - pad * length, torch.where(any_, last, length) + pad * length]
    return _inside(torch.stack([ends[0], ends[2], ends[1], ends[3]], 1).float(), inner)


def _inside(corners: torch.Tensor, inner: tuple[int, int]) -> torch.Tensor:
    """Boxes, clipped to the picture."""
    most = torch.tensor([inner[1], inner[0]] * 2, device=corners.device)
    return torch.minimum(corners.clamp(min=0), most)


def _clicks(weights: torch.Tensor, count: int) -> torch.Tensor:
    """Random points (m, count, 2) in pixels, by weights (m, 1, side, side), rarely near an edge."""
    if not count:
        return weights.new_zeros(len(weights), 0, 2)
    half = torch.nn.functional.avg_pool2d(weights, 2)
    inner = (half * _blur(half, 4) ** 3).flatten(1) + 1e-9 * half.flatten(1) + 1e-12
    cell = torch.multinomial(inner, count, replacement=True)
    side = half.shape[-1]
    return torch.stack([cell % side, cell // side], -1).float() * 2 + 0.5


def _around(targets: TargetMasks) -> torch.Tensor:
    """Weights of points outside of the target: higher near the mask."""
    half = torch.nn.functional.avg_pool2d(targets.masks, 4)
    near = torch.nn.functional.interpolate(_blur(half, 8), targets.masks.shape[-2:])
    return (1 - targets.masks) * targets.counts * (0.05 + near)


def _blur(planes: torch.Tensor, by: int) -> torch.Tensor:
    """A box blur with a side of 2 * by + 1 pixels."""
    return torch.nn.functional.avg_pool2d(planes, 2 * by + 1, 1, by)


def _waves(m: int, cells: int, like: torch.Tensor) -> torch.Tensor:
    """Smooth noise of about unit variance, `cells` per side, of the size of `like`."""
    noise = torch.randn(m, 1, cells, cells, device=like.device)
    return torch.nn.functional.interpolate(
        noise, like.shape[-2:], mode="bicubic", align_corners=False
    )


def _move(planes: torch.Tensor) -> torch.Tensor:
    """Moves and scales each plane a little, most of them hardly."""
    m = len(planes)
    amount: Any = 0.05 * torch.rand(m, 1, device=planes.device) ** 3
    places = torch.eye(2, 3, device=planes.device).repeat(m, 1, 1)
    places[:, :, 2] += amount * torch.randn(m, 2, device=planes.device)
    places[:, [0, 1], [0, 1]] += amount * torch.randn(m, 2, device=planes.device)
    grid = torch.nn.functional.affine_grid(places, list(planes.shape), align_corners=False)
    return torch.nn.functional.grid_sample(planes, grid, "bilinear", "zeros", False)
