"""Removes the old clothes: skin, other clothes and the background take their place."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.segmenter.atr import (
    ARMS,
    CLOTHES,
    DRESS,
    HEAD,
    HEADWEAR,
    LEGS,
    LOWER,
    SHOES,
    UPPER,
    Atr,
    mask_of,
)
from models.segmenter.shapes import Category, Mask, Pixels
from models.tryon.person.legs import legs_of
from models.tryon.person.pose import Labels, Limb, Pose
from models.tryon.warping.splines import Cover

FACE = frozenset({Atr.FACE})
NEVER_PAINTED = HEAD | HEADWEAR | SHOES | {Atr.BAG}
"""The classes that no garment of any category replaces or covers."""
Colour = NDArray[np.float32]
"""Shape (h, w, 3), float32, 0 to 255."""

LEAST_SKIN = 40
"""The least number of pixels that a colour of skin is measured on."""
SAME_HUE = 0.07
"""The largest difference in the shares of red, green and blue between the skin of face and arms: on
nine of ten street photographs it is below 0.064.
"""
DEFAULT_SKIN = (196.0, 152.0, 128.0)


@dataclass(frozen=True)
class Zones:
    """Zones of a person, all (h, w) bool in one frame.

    old: clothes that the garment replaces. protected: never painted over (face, hair, hands, shoes,
    bags, and clothes of the other half). front: skin of arms in front of the torso.
    """

    old: Mask
    protected: Mask
    front: Mask


def find_zones(labels: Labels, body: Pose, category: Category) -> Zones:
    """The zones of a category on a person."""
    rows = np.arange(len(labels))[:, None]
    protected = mask_of(labels, NEVER_PAINTED) | body.hands
    if category == "upper":
        if body.tucked:  # the new top is tucked in as well
            protected |= mask_of(labels, LOWER | {Atr.BELT})
        old = mask_of(labels, UPPER) | (mask_of(labels, DRESS) & (rows < body.waist))
    elif category == "lower":
        old = mask_of(labels, LOWER) | (mask_of(labels, DRESS) & (rows > body.waist))
        protected |= mask_of(labels, UPPER | ARMS | {Atr.SCARF})
    else:
        old = mask_of(labels, CLOTHES | {Atr.BELT})
    if category != "lower":
        protected |= (labels == Atr.SCARF) & (rows < body.top + 0.4 * body.half)
    reach = max(1, round(0.05 * body.half))
    fringe = ndimage.binary_dilation(old, iterations=reach) & mask_of(
        labels, {Atr.BACKGROUND, Atr.BELT}
    )
    columns = np.arange(labels.shape[1])[None]
    inside = (columns > body.trunk[:, 0, None]) & (columns < body.trunk[:, 1, None])
    far = np.ones(labels.shape, bool)
    for side in (0, 1):
        x, y = body.shoulders[side]
        far &= np.hypot(columns - x, rows - y) > 0.9 * body.half
    front = mask_of(labels, ARMS) & inside & far & (rows < body.crotch + body.half)
    return Zones(old | fringe, protected, front)


def fill_behind(
    person: Pixels, labels: Labels, body: Pose, zones: Zones, category: Category
) -> Colour:
    """The person without the old clothes: background, limbs over it, then the clothes that stay.

    Only pixels of `zones.old` differ from the person's; the new garment is laid over them.
    """
    bare = _mirror(person, (labels == Atr.BACKGROUND) & ~zones.old, zones.old)
    if category != "lower":
        _paint_limbs(bare, person, labels, body, zones, ARMS)
        _paint_neck(bare, person, labels, body, zones)
        _extend_lower(bare, person, labels, body, zones)
    if category != "upper":
        _paint_limbs(bare, person, labels, body, zones, LEGS)
    return bare


def _mirror(person: Pixels, source: Mask, hole: Mask) -> Colour:
    """Fills each pixel of the hole with its mirror image in the source at the nearest edge.

    This continues a texture, which a smooth fill would blur.
    """
    picture = person.astype(np.float32)
    if not source.any() or not hole.any():
        return picture
    _, nearest = ndimage.distance_transform_edt(~source, return_indices=True)
    rows, columns = np.nonzero(hole)
    near = nearest[:, rows, columns]
    height, width = source.shape
    far_rows = np.clip(2 * near[0] - rows, 0, height - 1)
    far_columns = np.clip(2 * near[1] - columns, 0, width - 1)
    usable = source[far_rows, far_columns]
    from_rows = np.where(usable, far_rows, near[0])
    from_columns = np.where(usable, far_columns, near[1])
    picture[rows, columns] = picture[from_rows, from_columns]
    soft = np.stack([ndimage.gaussian_filter(picture[..., c], 1.5) for c in range(3)], axis=-1)
    picture[hole] = 0.5 * picture[hole] + 0.5 * soft[hole]
    return picture


def skin_colour(person: Pixels, labels: Labels, first: frozenset[Atr]) -> NDArray[np.float32]:
    """The median colour, (3,), of the first group of classes with enough visible skin.

    Arms whose hue differs from that of the face are sleeves that the parser labelled as skin. Legs
    are not compared, since they may be in stockings.
    """
    face = _median_of(person, labels, FACE)
    for classes in (first, ARMS, FACE, LEGS):
        colour = _median_of(person, labels, classes)
        if colour is not None and (face is None or classes == LEGS or _alike(colour, face)):
            return colour
    return np.array(DEFAULT_SKIN, np.float32)


def _median_of(
    person: Pixels, labels: Labels, classes: frozenset[Atr]
) -> NDArray[np.float32] | None:
    """The median colour; None where too few pixels are visible."""
    skin = ndimage.binary_erosion(mask_of(labels, classes), iterations=2)
    if skin.sum() < LEAST_SKIN:
        return None
    return np.asarray(np.median(person[skin], axis=0), dtype=np.float32)


def _alike(colour: NDArray[np.float32], face: NDArray[np.float32]) -> bool:
    """Whether two colours have about the same hue."""
    hues = [each / max(float(each.sum()), 1.0) for each in (colour, face)]
    return bool(np.abs(hues[0] - hues[1]).max() < SAME_HUE)


def _paint_limbs(
    bare: Colour, person: Pixels, labels: Labels, body: Pose, zones: Zones, classes: frozenset[Atr]
) -> None:
    """Paints arms or legs in place of old sleeves or trousers, shaded towards their edges."""
    colour = skin_colour(person, labels, classes)
    limbs = body.arms if classes == ARMS else legs_of(labels, body)
    for limb in limbs:
        if limb is None:
            continue
        cover, depth = tube(limb, labels.shape)
        light = (1.04 - 0.3 * depth**2)[..., None]
        share = (cover * zones.old)[..., None]
        bare[:] = bare * (1 - share) + np.clip(colour * light, 0, 255) * share


def tube(limb: Limb, shape: tuple[int, ...]) -> tuple[Cover, NDArray[np.float32]]:
    """A limb's cover, with a soft edge, and the distance from its middle line, 1 at the edge."""
    points = [limb.at(float(share)) for share in np.linspace(0, 1, 80)]
    line = np.array([point for point, _, _ in points])
    half = np.array([wide for _, _, wide in points])
    rows, columns = np.indices(shape)
    off = np.ones(shape, bool)
    at = np.round(line).astype(int)
    inside = (at[:, 0] >= 0) & (at[:, 0] < shape[1]) & (at[:, 1] >= 0) & (at[:, 1] < shape[0])
    which = np.zeros(shape, int)
    off[at[inside, 1], at[inside, 0]] = False
    which[at[inside, 1], at[inside, 0]] = np.flatnonzero(inside)
    if off.all():
        return np.zeros(shape, np.float32), np.ones(shape, np.float32)
    _, nearest = ndimage.distance_transform_edt(off, return_indices=True)
    index = which[nearest[0], nearest[1]]
    distance = np.hypot(columns - line[index, 0], rows - line[index, 1])
    wide = np.maximum(0.86 * half[index], 1.0)
    cover = np.clip(wide - distance + 0.5, 0.0, 1.0).astype(np.float32)
    return cover, np.clip(distance / wide, 0.0, 1.0).astype(np.float32)


def _paint_neck(bare: Colour, person: Pixels, labels: Labels, body: Pose, zones: Zones) -> None:
    """Paints skin between the shoulders, for a neckline that is lower than the old one."""
    rows, columns = np.indices(labels.shape)
    middle = body.spine(body.top)
    wide = np.abs(columns - middle) / (0.85 * body.half)
    chest = (rows < body.top + 0.75 * body.half) & (rows > body.top - 0.6 * body.half)
    slope = body.top - 0.26 * body.half * (1 - wide)
    zone = zones.old & chest & (wide < 1) & (rows > slope)
    colour = skin_colour(person, labels, FACE)
    light = 1.0 - 0.08 * wide[zone] ** 2
    bare[zone] = np.clip(colour * light[:, None], 0, 255)


def _extend_lower(bare: Colour, person: Pixels, labels: Labels, body: Pose, zones: Zones) -> None:
    """Continues trousers or a skirt upwards, for a hem that is higher than the old one."""
    lower = mask_of(labels, LOWER)
    if not lower.any():
        return
    rows, columns = np.indices(labels.shape)
    inside = (columns >= body.trunk[:, 0, None]) & (columns <= body.trunk[:, 1, None])
    first = min(body.waist, body.top + 1.5 * body.half)
    zone = zones.old & inside & (rows > first) & (rows < body.crotch + body.half)
    grown = _mirror(person, lower, zone)
    bare[zone] = grown[zone]
