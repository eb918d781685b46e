"""A cut-out's alpha is its mask; everywhere else the picture lies on white."""

import ast
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from drawing.draw import Garment, draw_with_cover
from drawing.people.people import draw_person
from models.clean_copy import clean_copy
from models.images import (
    decode_cutout,
    decode_image,
    decode_measured,
    prepare_decoders,
    public_copy,
)
from models.segmenter.parser import ParserConfig
from models.segmenter.parser import load as load_parser
from models.segmenter.prompts import PackedMask
from models.segmenter.segmenter import Segmenter
from models.segmenter.shapes import SegmentPrompt
from models.tryon.pictures import read_garment, read_person

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("models", "studio", "gateway", "jobs", "deployments", "integrations", "local")
GARMENT = SegmentPrompt("garment")
LOSSLESS = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}}
LOSSY = {"AVIF": {"quality": 95}, "HEIF": {"quality": 95}, "WEBP": {"quality": 90}}


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    prepare_decoders()
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def cut_out(picture: Image.Image, inside: NDArray[np.bool_]) -> Image.Image:
    """The picture with the rest transparent, over a colour that must never be seen."""
    image = picture.convert("RGB").copy()
    image.paste((0, 0, 255), (0, 0), Image.fromarray((~inside).view(np.uint8) * 255))
    image.putalpha(Image.fromarray(inside.view(np.uint8) * 255))
    return image


def on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(load_parser(ParserConfig()), None)


@pytest.fixture(scope="module")
def garment() -> tuple[Image.Image, NDArray[np.bool_]]:
    picture, cover = draw_with_cover(Garment("t-shirt", "red", style_seed=1), 320, 7)
    return picture, np.asarray(cover) > 127


def segment(
    segmenter: Segmenter, data: bytes, prompt: SegmentPrompt = GARMENT
) -> NDArray[np.bool_]:
    features = segmenter.encode([segmenter.prepare(data)])[0]
    return segmenter.decode(features, prompt).mask


@pytest.mark.parametrize("kind", [*LOSSLESS, "AVIF", "HEIF"])
def test_the_mask_of_a_cutout_is_its_alpha(
    segmenter: Segmenter, garment: tuple[Image.Image, NDArray[np.bool_]], kind: str
) -> None:
    picture, inside = garment
    options = LOSSLESS.get(kind) or LOSSY.get(kind, {})
    data = encoded(cut_out(picture, inside), kind, **options)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA").getchannel("A")) > 127
    features = segmenter.encode([segmenter.prepare(data)])[0]
    result = segmenter.decode(features, GARMENT)
    assert (result.mask == expected).all()
    assert (expected == inside).mean() > 0.99  # a lossy format changes pixels at the edge
    assert (result.source, result.label) == ("alpha", "Upper-clothes")
    assert result.area == int(expected.sum()) and result.score > 0.95


def test_the_copy_of_an_outside_cutout_has_the_same_mask(
    segmenter: Segmenter, garment: tuple[Image.Image, NDArray[np.bool_]]
) -> None:
    picture, inside = garment
    copy = clean_copy(encoded(cut_out(picture, inside), "PNG"))
    assert copy.content_type == "image/png"
    assert (segment(segmenter, copy.data) == inside).all()


def test_a_point_a_box_or_another_target_is_cut_out_as_before(
    segmenter: Segmenter, garment: tuple[Image.Image, NDArray[np.bool_]]
) -> None:
    picture, inside = garment
    image = cut_out(picture, inside)
    y, x = (int(at) for at in np.argwhere(inside).mean(axis=0))
    for prompt in (SegmentPrompt("upper"), SegmentPrompt(points=((x, y, True),))):
        with_alpha = segment(segmenter, encoded(image, "PNG"), prompt)
        flat = segment(segmenter, encoded(on_white(image), "PNG"), prompt)
        assert (with_alpha == flat).all()


def test_what_is_cut_out_is_not_always_a_garment(
    segmenter: Segmenter, garment: tuple[Image.Image, NDArray[np.bool_]]
) -> None:
    """A person, a photograph on a transparent canvas, rounded corners: the parser decides."""
    picture, _ = garment
    drawn = draw_person(11, [Garment("t-shirt", "red"), Garment("trousers", "blue")], (320, 224),
                        full_figure=True)  # fmt: skip
    canvas = Image.new("RGBA", (480, 480))
    canvas.paste(picture, (80, 80))
    corners = Image.new("L", picture.size)
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, 319, 319), 12, fill=255)
    rounded = picture.copy()
    rounded.putalpha(corners)
    for image in (cut_out(drawn.image, drawn.parse > 0), rounded):
        with_alpha = segment(segmenter, encoded(image, "PNG"))
        assert (with_alpha == segment(segmenter, encoded(on_white(image), "PNG"))).all()
    assert decode_cutout(encoded(rounded, "PNG"))[2] is None
    whole = segment(segmenter, encoded(canvas, "PNG"))
    assert whole.sum() < np.asarray(canvas.getchannel("A")).astype(bool).sum() * 0.9


def garment_of(data: bytes) -> Image.Image:
    mask = encoded(Image.new("L", decode_image(data).size, 255), "PNG")
    return read_garment(data, mask).image


PLACES: dict[str, Callable[[bytes], Image.Image]] = {
    "the embedder, and heatmaps": lambda data: decode_image(data, shortest_side=64),
    "the segmenter": lambda data: decode_cutout(data)[0],
    "a person to dress": read_person,
    "a garment to wear": garment_of,
    "the public copy": lambda data: Image.open(io.BytesIO(public_copy(data))),
    "the copy of an outside picture": lambda data: decode_image(clean_copy(data).data),
    "measured": lambda data: decode_measured(data)[0],
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["PNG", *LOSSY, "GIF"])
def test_a_cutout_lies_on_white_everywhere(
    garment: tuple[Image.Image, NDArray[np.bool_]], place: str, kind: str
) -> None:
    picture, inside = garment
    data = encoded(cut_out(picture, inside), kind, **LOSSY.get(kind, {}))
    image = PLACES[place](data)
    assert image.mode == "RGB" and image.size == picture.size
    far = np.asarray(Image.fromarray((~inside).view(np.uint8) * 255).reduce(8)) == 255
    outside = np.asarray(image.reduce(8)).astype(int)[far]
    assert outside.size and outside.min() > 240, outside.min()


def test_every_part_of_the_product_reads_pictures_by_the_same_module() -> None:
    """A second place that opens pictures would have its own idea of transparency."""
    places = {
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr == "open"
        and isinstance(node.value, ast.Name)
        and node.value.id == "Image"
    }
    assert places == {"models/images.py"}


@pytest.mark.parametrize("shape", [(1, 1), (7, 9), (64, 48)])
def test_a_mask_is_packed_without_a_loss(shape: tuple[int, int]) -> None:
    mask = np.random.default_rng(5).random(shape) > 0.5
    packed = PackedMask.of(mask)
    assert (packed.unpack() == mask).all() and packed.unpack().dtype == np.bool_
    assert packed.bits.nbytes == -(-mask.size // 8)
