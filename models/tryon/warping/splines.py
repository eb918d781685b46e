"""Thin-plate splines that warp a garment's pieces onto a body without folding them over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.segmenter.shapes import Pixels
from models.tryon.outline import Points
from models.tryon.warping.placement import Piece

Cover = NDArray[np.float32]
"""Shape (h, w), float32, 0 to 1."""

STIFFNESS = (1e-3, 1e-2, 1e-1, 1.0)
"""The regularisations that are tried, from soft to stiff."""
FOLDED = 0.004
"""The largest share of folded cells that is accepted."""
CELL = 6
"""The side, in pixels of the frame, of the cells on which a map is sampled."""
Move = Callable[[Points], Points]
"""Points (n, 2) -> offsets to add to them, (n, 2)."""


@dataclass(frozen=True)
class Spline:
    """A smooth map of the plane that moves its knots to (nearly) chosen points.

    Bookstein, Principal Warps: Thin-Plate Splines and the Decomposition of Deformations, IEEE
    PAMI 11(6), 1989; regularised as in Wahba, Spline Models for Observational Data, 1990.

    knots: (n, 2), normalised. weights: (n + 3, 2). centre, scale: of the normalisation.
    """

    knots: Points
    weights: NDArray[np.float64]
    centre: Points
    scale: float

    def __call__(self, points: Points) -> Points:
        """Points (m, 2) -> (m, 2)."""
        unit = (points - self.centre) / self.scale
        return _kernel(unit, self.knots) @ self.weights[:-3] + _affine(unit) @ self.weights[-3:]


def fit_spline(source: Points, target: Points, stiffness: float) -> Spline:
    """The spline that maps source (n, 2) to target (n, 2); infinite stiffness makes it affine."""
    centre = source.mean(0)
    scale = float(np.hypot(*(source - centre).T).mean()) + 1e-9
    knots = (source - centre) / scale
    count = len(knots)
    weights: NDArray[np.float64]
    if not np.isfinite(stiffness):
        weights = np.zeros((count + 3, 2))
        weights[count:] = np.linalg.lstsq(_affine(knots), target, rcond=None)[0]
        return Spline(knots, weights, centre, scale)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _kernel(knots, knots) + stiffness * np.eye(count)
    system[:count, count:] = _affine(knots)
    system[count:, :count] = _affine(knots).T
    right = np.vstack([target, np.zeros((3, 2))])
    weights = np.asarray(np.linalg.lstsq(system, right, rcond=None)[0], np.float64)
    return Spline(knots, weights, centre, scale)


def _kernel(points: Points, knots: Points) -> NDArray[np.float64]:
    """U(r) = r² log r² between every point and every knot, (m, n)."""
    squared = ((points[:, None] - knots[None]) ** 2).sum(-1)
    return np.asarray(squared * np.log(squared + 1e-12))


def _affine(points: Points) -> NDArray[np.float64]:
    return np.column_stack([np.ones(len(points)), points])


@dataclass(frozen=True)
class WarpedLayer:
    """A warped piece in the person's frame; its colour is premultiplied by its cover.

    colour: (h, w, 3) float32, 0 to 255. cover: (h, w). folds: the share of the piece that the
    softest spline would fold over. affine: whether only an affine map was free of folds. torn: the
    share of the piece that the applied map folds over.
    """

    colour: NDArray[np.float32]
    cover: Cover
    folds: float
    affine: bool
    torn: float


@dataclass(frozen=True)
class Fit:
    """The spline of a piece. folds, affine: as in `WarpedLayer`."""

    spline: Spline
    folds: float
    affine: bool


def fit_piece(piece: Piece, size: tuple[int, int]) -> Fit:
    """The softest spline without folds, in a frame of `size` (height, width).

    It maps the body to the garment, so that every pixel of the frame is sampled once.
    """
    first_folds = 0.0
    for number, stiffness in enumerate((*STIFFNESS, np.inf)):
        spline = fit_spline(piece.target, piece.source, stiffness)
        folds = _folded(_grid(spline, size), piece)
        if number == 0:
            first_folds = folds
        if folds <= FOLDED:
            return Fit(spline, first_folds, affine=not np.isfinite(stiffness))
    # the points are in an order by which even the affine map mirrors the piece
    upright = fit_spline(_corners(piece.target), _corners(piece.source), np.inf)
    return Fit(upright, first_folds, affine=True)


def warp_piece(
    picture: Pixels, piece: Piece, fit: Fit, size: tuple[int, int], shift: Move | None = None
) -> WarpedLayer:
    """The piece on the body. shift: offsets to each point's source; where they fold the piece over,
    half of them, a quarter, or none are used.
    """
    for share in (1.0, 0.5, 0.25) if shift else ():
        at = _grid(fit.spline, size, shift, share)
        folds = _folded(at, piece)
        if folds <= FOLDED:
            break
    else:
        at = _grid(fit.spline, size)
        folds = _folded(at, piece)
    layer = _sample(picture, piece, at, size)
    return replace(layer, folds=fit.folds, affine=fit.affine, torn=folds)


def _corners(points: Points) -> Points:
    """The corners of the points' bounding box, (4, 2)."""
    (x0, y0), (x1, y1) = points.min(0), points.max(0) + 1e-3
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def _grid(
    spline: Spline, size: tuple[int, int], shift: Move | None = None, share: float = 0.0
) -> NDArray[np.float64]:
    """Maps the corners of the frame's cells to the garment's picture: (rows, columns, 2)."""
    rows = np.arange(0, size[0] + CELL, CELL, dtype=np.float64)
    columns = np.arange(0, size[1] + CELL, CELL, dtype=np.float64)
    points = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    if shift is not None:
        points = points + share * shift(points)
    return spline(points).reshape(len(rows), len(columns), 2)


def _folded(at: NDArray[np.float64], piece: Piece) -> float:
    """The share of the piece's cells where the map's Jacobian is negative."""
    right, down = np.diff(at, axis=1)[:-1], np.diff(at, axis=0)[:, :-1]
    turn = right[..., 0] * down[..., 1] - right[..., 1] * down[..., 0]
    x, y = at[:-1, :-1, 0].round().astype(int), at[:-1, :-1, 1].round().astype(int)
    height, width = piece.mask.shape
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    inside[inside] = piece.mask[y[inside], x[inside]]
    return float((turn[inside] <= 0).mean()) if inside.any() else 1.0


def _sample(
    picture: Pixels, piece: Piece, at: NDArray[np.float64], size: tuple[int, int]
) -> WarpedLayer:
    """Samples the garment at the mapped places, bilinearly between cells and pixels."""
    colour = np.zeros((*size, 3), np.float32)
    cover = np.zeros(size, np.float32)
    low = np.floor(piece.target.min(0)).astype(int)
    high = np.ceil(piece.target.max(0)).astype(int)
    margin = np.maximum((high - low) // 2, 12)
    x0, y0 = np.maximum(low - margin, 0)
    x1, y1 = np.minimum(high + margin, (size[1], size[0]))
    if x1 <= x0 or y1 <= y0:
        return WarpedLayer(colour, cover, 0.0, False, 0.0)
    rows, columns = np.mgrid[y0:y1, x0:x1].astype(np.float32) / CELL
    source = [ndimage.map_coordinates(at[..., axis], (rows, columns), order=1) for axis in (1, 0)]
    soft = ndimage.gaussian_filter(piece.mask.astype(np.float32), 0.7)
    alpha = ndimage.map_coordinates(soft, source, order=1, cval=0.0)
    alpha = np.clip(alpha * 1.25 - 0.125, 0.0, 1.0)
    cover[y0:y1, x0:x1] = alpha
    for channel in range(3):
        values = ndimage.map_coordinates(
            picture[..., channel].astype(np.float32), source, order=1, mode="nearest"
        )
        colour[y0:y1, x0:x1, channel] = values * alpha
    return WarpedLayer(colour, cover, 0.0, False, 0.0)


def flatten(layers: Sequence[WarpedLayer]) -> WarpedLayer:
    """All layers in one, the last on top."""
    colour, cover = layers[0].colour.copy(), layers[0].cover.copy()
    for layer in layers[1:]:
        colour = layer.colour + colour * (1 - layer.cover[..., None])
        cover = layer.cover + cover * (1 - layer.cover)
    folds, torn = (max(getattr(layer, name) for layer in layers) for name in ("folds", "torn"))
    return WarpedLayer(colour, cover, folds, any(layer.affine for layer in layers), torn)
