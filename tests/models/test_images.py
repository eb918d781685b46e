"""Untrusted pictures: every kind gives the right pixels or the right error."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from drawing.hostile import pictures
from errors import Invalid, NotAnImage, StudioError, TooLarge
from models.clean_copy import clean_copy
from models.images import (
    FORMATS,
    MAX_BYTES,
    decode_image,
    inspect_image,
    prepare_decoders,
    public_copy,
)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    prepare_decoders()
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gradient(width: int = 64, height: int = 48) -> Image.Image:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width)[None]
    pixels[..., 1] = np.linspace(0, 255, height)[:, None]
    return Image.fromarray(pixels)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims any size in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\x00" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_decodes_to_the_same_picture(kind: str) -> None:
    image = gradient()
    decoded = np.asarray(decode_image(encoded(image, kind))).astype(int)
    assert decoded.shape == (48, 64, 3)
    assert np.abs(decoded - np.asarray(image)).mean() < 12


def test_exif_turn_is_applied_to_pixels_and_size() -> None:
    image = gradient()
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    data = encoded(image, "JPEG", exif=exif, quality=95)
    info = inspect_image(data)
    assert (info.width, info.height) == (48, 64)
    upright = np.asarray(decode_image(data)).astype(int)
    expected = np.asarray(image.transpose(Image.Transpose.ROTATE_270)).astype(int)
    assert np.abs(upright - expected).mean() < 6


def test_cmyk_keeps_its_colours() -> None:
    red = Image.new("RGB", (32, 32), (220, 20, 30)).convert("CMYK")
    decoded = np.asarray(decode_image(encoded(red, "JPEG", quality=95))).reshape(-1, 3).mean(0)
    assert decoded[0] > 180 and decoded[1] < 70 and decoded[2] < 70


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16)[None].repeat(16, 0)
    decoded = np.asarray(decode_image(encoded(Image.fromarray(ramp), "PNG")))
    assert decoded.mean() == pytest.approx(127.5, abs=2)
    assert (decoded[0, :, 0] == 255).sum() < 4


def test_transparency_lies_over_white() -> None:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert np.asarray(decode_image(encoded(clear, "PNG"))).min() == 255


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert tuple(np.asarray(decode_image(data))[0, 0]) == (255, 0, 0)


def test_what_is_no_image_is_told() -> None:
    for data in (b"", b"hello", b"%PDF-1.7", b"<svg xmlns='http://www.w3.org/2000/svg'/>"):
        with pytest.raises(NotAnImage):
            inspect_image(data)


def test_a_truncated_picture_is_told_by_inspection() -> None:
    for kind in ("JPEG", "PNG", "WEBP", "AVIF", "HEIF"):
        data = encoded(gradient(400, 300), kind)
        with pytest.raises(Invalid):
            inspect_image(data[: len(data) // 2])


@pytest.mark.parametrize("size", [(30_000, 30_000), (10_000, 5_000), (2**31 - 1, 1)])
def test_too_many_pixels_are_refused_from_the_header(size: tuple[int, int]) -> None:
    with pytest.raises(Invalid, match="pixels"):
        inspect_image(png_header(*size))


def test_a_jpeg_of_many_scans_is_refused() -> None:
    """libjpeg would decode each; 120 of them at 40 megapixels took 5 s, and 85 KB of file."""
    with pytest.raises(Invalid, match="scans"):
        inspect_image(pictures.scan_bomb(640, 640, 120))


@pytest.mark.parametrize("size", [(20, 4000), (4000, 20), (1, 21)])
def test_a_strip_is_refused(size: tuple[int, int]) -> None:
    """Models that resize by the shorter side would make 224 x 44,800 of the first."""
    with pytest.raises(Invalid, match="at most 20 times its shorter side"):
        inspect_image(pictures.png(*size))


def test_too_many_bytes_are_refused() -> None:
    with pytest.raises(TooLarge):
        inspect_image(b"\xff\xd8" + bytes(MAX_BYTES))


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow remarks on odd metadata
def test_damage_anywhere_never_raises_anything_else() -> None:
    random = np.random.default_rng(7)
    for kind in FORMATS:
        good = bytearray(encoded(gradient(), kind))
        for _ in range(60):
            data = bytearray(good)
            for place in random.integers(0, len(data), 4):
                data[place] = int(random.integers(256))
            try:
                inspect_image(bytes(data))
                decode_image(bytes(data))
            except StudioError:
                pass


def test_a_large_jpeg_decodes_at_a_fraction_but_not_below_the_asked_side() -> None:
    data = encoded(gradient(2400, 1600), "JPEG")
    assert min(decode_image(data, shortest_side=300).size) in range(300, 800)
    assert decode_image(data).size == (2400, 1600)


def with_secrets(kind: str) -> bytes:
    """A picture with a secret in every place where its format stores text."""
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[0x1D] = "secret day"
    texts = PngInfo()
    texts.add_text("Comment", "secret")
    texts.add_itxt("XML:com.adobe.xmp", "secret")
    options: dict[str, dict[str, Any]] = {
        "JPEG": {"exif": exif, "comment": b"secret", "xmp": b"secret"},
        "PNG": {"exif": exif, "pnginfo": texts},
        "WEBP": {"exif": exif, "xmp": b"secret"},
        "AVIF": {"exif": exif.tobytes(), "xmp": b"secret"},
        "HEIF": {"exif": exif.tobytes(), "xmp": b"secret"},
        "GIF": {"comment": b"secret"},
        "TIFF": {"exif": exif, "description": "secret"},
    }
    return encoded(gradient(1600, 2400), kind, **options[kind])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "GIF", "TIFF"])
def test_the_public_copy_carries_nothing_but_pixels(kind: str) -> None:
    data = with_secrets(kind)
    copy = public_copy(data)
    assert b"secret" in data and b"secret" not in copy
    image = Image.open(io.BytesIO(copy))
    assert max(image.size) == 1600
    assert (image.width > image.height) == (kind != "GIF")  # turned as the EXIF says
    assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert not image.getexif()


def test_the_public_copy_shows_the_colours_that_the_profile_means() -> None:
    """A green that only wide screens can show, in the numbers of Adobe RGB's primaries."""
    lab = ImageCms.createProfile("LAB")
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = encoded(Image.new("RGB", (64, 64), (90, 160, 70)), "JPEG", quality=95)
    same = encoded(Image.new("RGB", (64, 64), (90, 160, 70)), "JPEG", quality=95, icc_profile=srgb)
    other = encoded(
        Image.new("RGB", (64, 64), (90, 160, 70)), "JPEG", quality=95,
        icc_profile=swapped_primaries(srgb),
    )  # fmt: skip
    broken = encoded(
        Image.new("RGB", (64, 64), (90, 160, 70)), "JPEG", quality=95,
        icc_profile=ImageCms.ImageCmsProfile(lab).tobytes(),
    )  # fmt: skip

    def colour(data: bytes) -> tuple[int, ...]:
        pixel = Image.open(io.BytesIO(public_copy(data))).getpixel((30, 30))
        assert isinstance(pixel, tuple)
        return pixel

    assert colour(same) == pytest.approx(colour(plain), abs=3) == colour(broken)
    red, green, _ = colour(other)
    assert red > green  # in that profile, what is called green is red


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_clean_copy_shows_the_colours_that_the_profile_means(kind: str) -> None:
    """A copy without a profile must hold the colours in sRGB."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = Image.new("RGB", (64, 64), (90, 160, 70))

    def colour(profile: bytes) -> tuple[int, ...]:
        copy = clean_copy(encoded(picture, kind, icc_profile=profile)).data
        image = Image.open(io.BytesIO(copy))
        assert "icc_profile" not in image.info
        pixel = image.getpixel((30, 30))
        assert isinstance(pixel, tuple)
        return pixel

    assert colour(srgb) == pytest.approx((90, 160, 70), abs=3)
    red, green, _ = colour(swapped_primaries(srgb))
    assert red > green


def swapped_primaries(profile: bytes) -> bytes:
    """The same profile with its red and green primaries exchanged."""
    return profile.replace(b"rXYZ", b"tttt").replace(b"gXYZ", b"rXYZ").replace(b"tttt", b"gXYZ")
