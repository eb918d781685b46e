"""AVIF and HEIC: what is read of them, and what never reaches a decoder."""

import io
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import AvifImagePlugin, Image

from drawing.hostile import heif
from errors import Invalid, NotAnImage, TooLarge
from models.bounds import av1, boxes, hevc
from models.bounds import heif as bounds
from models.bounds.bits import HeaderBits
from models.bounds.formats import find_format
from models.bounds.limits import MAX_EXIF_BYTES
from models.clean_copy import clean_copy
from models.images import (
    decode_image,
    inspect_image,
    measure_image,
    prepare_decoders,
    public_copy,
)
from tests.models.test_images import gradient

KINDS = {"AVIF": "image/avif", "HEIF": "image/heic"}
SIDE = 6320  # squared, just below 40 megapixels


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    prepare_decoders()
    out = io.BytesIO()
    image.save(out, kind, quality=95, **options)
    return out.getvalue()


def cutout(size: tuple[int, int]) -> Image.Image:
    """A red square whose right half is transparent."""
    image = Image.new("RGBA", size, (200, 20, 20, 255))
    image.paste((0, 0, 255, 0), (size[0] // 2, 0, *size))
    return image


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(64, 48), (63, 47), (300, 200)])
def test_pictures_are_read(kind: str, size: tuple[int, int]) -> None:
    original = gradient(*size)
    data = saved(original, kind)
    info = inspect_image(data)
    assert (info.width, info.height, info.content_type) == (*size, KINDS[kind])
    assert measure_image(data) == size
    for mode in ("RGB", "L"):
        image = decode_image(saved(original.convert(mode), kind))
        assert image.mode == "RGB" and image.size == size
        difference = np.asarray(image, float) - np.asarray(original.convert(mode).convert("RGB"))
        assert np.abs(difference).mean() < 4
    assert public_copy(data)[:3] == b"\xff\xd8\xff"
    assert clean_copy(data).content_type == "image/jpeg"


def turned(orientation: int) -> bytes:
    """EXIF of this orientation, which the writers turn into properties of the container."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_upright(kind: str, orientation: int) -> None:
    """The container has rotation and mirroring as properties; EXIF must not turn it once more."""
    original = gradient(60, 40)
    data = saved(original, kind, exif=turned(orientation))
    jpeg = io.BytesIO()
    original.save(jpeg, "JPEG", quality=95, subsampling=0, exif=turned(orientation))
    expected = decode_image(jpeg.getvalue())
    image = decode_image(data)
    assert image.size == expected.size == measure_image(data)
    assert (inspect_image(data).width, inspect_image(data).height) == expected.size
    difference = np.asarray(image, float) - np.asarray(expected, float)
    assert np.abs(difference).mean() < 6


@pytest.mark.parametrize("kind", KINDS)
def test_transparency_lies_on_white(kind: str) -> None:
    data = saved(cutout((64, 64)), kind)
    pixels = np.asarray(decode_image(data)).astype(int)
    assert (pixels[:, 40:] > 250).all()
    assert np.abs(pixels[:, :24] - (200, 20, 20)).max() < 12


def test_a_grid_of_tiles_is_read() -> None:
    original = gradient(600, 400)
    data = saved(original, "HEIF", tile_size=256)
    assert boxes.read_items(data).kinds[1] == b"grid"
    difference = np.asarray(decode_image(data), float) - np.asarray(original, float)
    assert np.abs(difference).mean() < 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_refused(kind: str) -> None:
    data = saved(gradient(128, 96), kind)
    for size in (12, 20, 100, len(data) // 2, len(data) - 200):
        with pytest.raises((Invalid, NotAnImage)):
            inspect_image(data[:size])
    with pytest.raises(TooLarge):
        inspect_image(data + bytes(15_000_000))


def test_brands_tell_the_formats_apart() -> None:
    for brand, name in ((b"avif", "AVIF"), (b"heic", "HEIF"), (b"heix", "HEIF")):
        data = heif.heif([], brand=brand)
        kind = find_format(data)
        assert kind is not None and kind.name == name
    general = heif.box(b"ftyp", b"mif1", bytes(4), b"mif1", b"avif")
    other = heif.box(b"ftyp", b"mif1", bytes(4), b"mif1", b"heic")
    others = [find_format(data) for data in (general, other)]
    assert [one.name for one in others if one] == ["AVIF", "HEIF"]
    assert find_format(heif.box(b"ftyp", b"mp42", bytes(4), b"isom")) is None


def test_decoders_use_one_thread() -> None:
    prepare_decoders()
    assert AvifImagePlugin.DEFAULT_MAX_THREADS == 1
    assert pillow_heif.options.DECODE_THREADS == 1
    assert not pillow_heif.options.DISABLE_SECURITY_LIMITS


def tiled(count: int, tile: heif.Item, *, rows: int = 1) -> bytes:
    grid = heif.grid_item(64, 64, rows, count // rows, range(2, count + 2))
    return heif.heif([grid, *[tile] * count])


TINY = heif.av1_item(8, 8)
FRAME = heif.unit(6, b"\0")
EXIF = heif.Item(b"Exif", bytes(MAX_EXIF_BYTES + 1), (), ((b"cdsc", [1]),))
FLOODS: dict[str, tuple[bytes, str]] = {
    "pixels": (heif.heif([heif.av1_item(SIDE + 10, SIDE)]), "megapixels"),
    "pixels that only the codec has": (
        heif.heif([heif.av1_item(SIDE + 10, SIDE, announced=(64, 64))]), "megapixels",
    ),
    "pixels that only the file has": (
        heif.heif([heif.av1_item(64, 64, announced=(SIDE + 10, SIDE))]), "megapixels",
    ),
    "pixels that a frame may have": (
        heif.heif([heif.av1_item(64, 64, data=heif.av1_header(64, 64, reduced=False) + FRAME)]),
        "pixels that a frame",
    ),
    "pixels of HEVC": (heif.heif([heif.hevc_item(SIDE + 10, SIDE)], brand=b"heic"), "megapixels"),
    "sides": (heif.heif([heif.av1_item(161, 8)]), "at most 20 times"),
    "frames": (
        heif.heif([heif.av1_item(64, 64, data=heif.av1_header(64, 64) + FRAME * 5)]), "5 frames",
    ),
    "units of AV1": (
        heif.heif([heif.av1_item(64, 64, data=heif.unit(2, b"") * (av1.MAX_UNITS + 1))]), "units",
    ),
    "pictures of HEVC": (
        heif.heif([heif.hevc_item(64, 64, pictures=2)], brand=b"heic"), "2 pictures in one",
    ),
    "units of HEVC": (
        heif.heif([heif.hevc_item(64, 64, pictures=hevc.MAX_UNITS + 1)], brand=b"heic"), "units",
    ),
    "alpha planes": (
        heif.heif([
            heif.av1_item(SIDE, SIDE),
            *[heif.av1_item(SIDE, SIDE, references=[(b"auxl", [1])])] * 3,
        ]), "pixels in all of its parts",
    ),
    "tiles larger than the picture": (tiled(4, heif.av1_item(1024, 1024)), "pixels in its tiles"),
    "tiles of the same picture": (
        heif.heif([heif.grid_item(16, 8, 1, 2, [2, 2]), TINY]), "different pictures",
    ),
    "tiles of tiles": (
        heif.heif([heif.grid_item(8, 8, 1, 1, [2]), heif.grid_item(8, 8, 1, 1, [3]), TINY]),
        "different pictures",
    ),
    "fewer tiles than rows": (heif.heif([heif.grid_item(8, 8, 2, 2, [2]), TINY]), "damaged"),
    "items": (tiled(boxes.MAX_ITEMS, TINY, rows=10), "items|boxes"),
    "the same bytes again": (
        heif.heif([heif.Item(b"av01", TINY.data, TINY.properties, extents=1000)]), "bytes in all",
    ),
    "pictures side by side": (heif.heif([TINY] * (bounds.MAX_PICTURES + 1)), "side by side"),
    "EXIF": (heif.heif([TINY, EXIF]), "bytes of EXIF"),
    "a profile": (
        heif.heif([heif.Item(
            b"av01", TINY.data, [*TINY.properties, heif.box(b"colr", b"prof", bytes(4_000_001))]
        )]), "colour profile",
    ),
    "an overlay": (
        heif.heif([heif.Item(b"iovl", bytes(9), [heif.size(8, 8)], ((b"dimg", [2]),)), TINY]),
        "one picture, or a grid",
    ),
    "a sequence": (heif.heif([TINY], after=heif.box(b"moov")), "a sequence or an animation"),
    "two descriptions": (
        heif.heif([TINY], after=heif.full_box(b"meta")), "damaged",
    ),
    "no description": (heif.box(b"ftyp", b"avif", bytes(4)) + bytes(99), "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("name", FLOODS)
def test_a_picture_beyond_a_bound_never_reaches_its_decoder(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("the picture reached its decoder")

    data, words = FLOODS[name]
    monkeypatch.setattr(Image, "open", never)
    for read in (inspect_image, measure_image, decode_image, public_copy):
        with pytest.raises(Invalid, match=words):
            read(data)


@pytest.mark.parametrize("brand", [b"avif", b"heic"])
def test_what_passes_the_checks_and_is_no_picture_is_refused(brand: bytes) -> None:
    item = heif.av1_item(64, 64) if brand == b"avif" else heif.hevc_item(64, 64)
    with pytest.raises((Invalid, NotAnImage)):
        decode_image(heif.heif([item], brand=brand))


@pytest.mark.parametrize("kind", KINDS)
def test_any_changed_byte_ends_in_a_picture_or_an_error(kind: str) -> None:
    """Every byte of the description and of the codec's headers."""
    data = saved(cutout((32, 24)), kind)
    random = np.random.default_rng(20)
    for place in range(12, min(len(data), 900)):
        spoilt = bytearray(data)
        spoilt[place] ^= int(random.integers(1, 256))
        try:
            inspect_image(bytes(spoilt))
        except (Invalid, NotAnImage, TooLarge):
            continue


def test_bits_are_read_from_the_highest_on() -> None:
    reader = HeaderBits(bytes((0b1010_0110, 0b0100_0000)))
    assert [reader.number(count) for count in (1, 2, 3)] == [1, 1, 1]
    assert reader.exponential() == 0  # 1
    assert reader.exponential() == 3  # 00100
    with pytest.raises(IndexError):
        reader.number(40)
    with pytest.raises(IndexError):
        HeaderBits(bytes(9)).exponential()
