"""Lays the warped garment on the person: the result of `fast`, and the input of a diffusion
network.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.segmenter.shapes import Category, Mask, Pixels
from models.tryon.fill import Zones, fill_behind, find_zones
from models.tryon.garment.tops import Top, find_garment
from models.tryon.garment.upright import upright
from models.tryon.person.body import find_body, find_person
from models.tryon.person.pose import Labels, Pose, resized
from models.tryon.warping.flow import FlowModel, GridCrop, Shift, frame_person, make_flow_inputs
from models.tryon.warping.placement import Piece, place_bottom, place_top
from models.tryon.warping.splines import Cover, Fit, WarpedLayer, fit_piece, flatten, warp_piece

LABEL_SIDE = 320
"""The longest side of the map in which landmarks are searched."""
SHADING = 0.5
"""The share of the old clothes' light and shade that is applied to the new clothes."""


@dataclass(frozen=True)
class Composite:
    """The person with the warped garment, in the working frame.

    picture: both together. share: how much of it shows in the result, 0 outside of the changed
    zone. protected: pixels that must not change. garment: the warped layer alone.
    """

    picture: Pixels
    share: Cover
    protected: Mask
    garment: WarpedLayer


def compose(
    person: Pixels, labels: Labels, garment: Pixels, mask: Mask, category: Category,
    flow: FlowModel | None = None,
) -> Composite:  # fmt: skip
    """Dresses a person.

    Args:
        person: (h, w, 3), the working frame.
        labels: the person's parse map, (lh, lw), any size of the same proportions.
        garment, mask: (gh, gw, 3) and (gh, gw), about as large as it will be on the person.
        flow: refines the warp of the splines.

    Raises:
        Invalid: about the person or the garment: none, or two people.
    """
    size = (person.shape[0], person.shape[1])
    garment, mask = upright(garment, mask)
    lay = lay_out(labels, size, mask, category)
    zones = find_zones(lay.labels, lay.body, category)
    shift = find_shift(flow, lay, mask) if flow else None
    layers = [
        _under_arms(warp_piece(garment, piece, fit, size, shift), piece, zones)
        for piece, fit in zip(lay.pieces, lay.fits, strict=True)
    ]
    bare = fill_behind(person, lay.labels, lay.body, zones, category)
    return _blend(person, bare, flatten(layers), zones)


@dataclass(frozen=True)
class GarmentLayout:
    """A garment's pieces on a body. labels: the parse map at the frame's size. crop: around the
    person.
    """

    labels: Labels
    body: Pose
    crop: GridCrop
    pieces: list[Piece]
    fits: list[Fit]


def lay_out(labels: Labels, size: tuple[int, int], mask: Mask, category: Category) -> GarmentLayout:
    """Fits the splines of an upright garment's pieces by landmarks; raises as `compose` does."""
    share = min(1.0, LABEL_SIDE / max(size))
    coarse = resized(labels, (round(size[0] * share), round(size[1] * share)))
    body = find_body(coarse).scaled(size)
    fine = resized(labels, size)
    flat = find_garment(mask, category)
    pieces = place_top(flat, body) if isinstance(flat, Top) else place_bottom(flat, body, fine)
    fits = [fit_piece(piece, size) for piece in pieces]
    return GarmentLayout(fine, body, frame_person(find_person(coarse), size), pieces, fits)


def find_shift(flow: FlowModel, lay: GarmentLayout, mask: Mask) -> Shift:
    """The network's flow for a layout."""
    inputs = make_flow_inputs(lay.labels, lay.crop, mask, lay.pieces, lay.fits)
    return Shift(flow.flow(inputs), lay.crop)


def _under_arms(layer: WarpedLayer, piece: Piece, zones: Zones) -> WarpedLayer:
    """Removes a torso's layer where an arm is in front of it."""
    if piece.over_arms or not zones.front.any():
        return layer
    open_ = 1.0 - ndimage.gaussian_filter(zones.front.astype(np.float32), 0.8)
    return replace(layer, colour=layer.colour * open_[..., None], cover=layer.cover * open_)


def _blend(
    person: Pixels, bare: NDArray[np.float32], layer: WarpedLayer, zones: Zones
) -> Composite:
    """The layer, with the light of the old clothes, over the person without them."""
    cover = layer.cover[..., None]
    picture = layer.colour * _light(person, layer, zones)[..., None] + bare * (1 - cover)
    soft = ndimage.gaussian_filter(zones.old.astype(np.float32), 1.0)
    share = np.maximum(layer.cover, np.clip(2.2 * soft - 0.2, 0.0, 1.0))
    share[zones.protected] = 0.0
    share[share < 1 / 255] = 0.0
    return Composite(
        np.clip(np.round(picture), 0, 255).astype(np.uint8), share, zones.protected, layer
    )


def _light(person: Pixels, layer: WarpedLayer, zones: Zones) -> NDArray[np.float32]:
    """The soft light and shade of the old clothes below the new ones, as a factor around 1."""
    where = (zones.old & (layer.cover > 0.5)).astype(np.float32)
    light = np.ones(where.shape, np.float32)
    if where.sum() < 200:
        return light
    bright = person.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    spread = 0.02 * max(where.shape)
    weight = ndimage.gaussian_filter(where, spread)
    local = ndimage.gaussian_filter(bright * where, spread) / np.maximum(weight, 1e-3)
    usual = float(bright[where > 0].mean())  # the mean over a pattern, like the local one
    ratio = np.clip((local + 20) / (usual + 20), 0.6, 1.4) ** SHADING
    fade = np.clip(ndimage.gaussian_filter(where, spread / 2), 0.0, 1.0)
    return np.asarray(1.0 + (np.clip(ratio, 0.84, 1.12) - 1.0) * fade, dtype=np.float32)
