"""Pictures that would cost their decoder too much are refused before decoding."""

import io
import struct
from collections.abc import Callable
from typing import NoReturn

import numpy as np
import pytest
from PIL import Image, ImageFile

from drawing.hostile import pictures
from drawing.hostile import webp as webp_pictures
from errors import Invalid, NotAnImage
from models.bounds import gif, jpeg, png, tiff, vp8l, webp
from models.bounds.formats import FORMATS, find_format
from models.images import decode_image, inspect_image, measure_image, public_copy
from tests.models.test_images import encoded, gradient

READS: tuple[Callable[[bytes], object], ...] = (
    inspect_image, measure_image, decode_image, public_copy,
)  # fmt: skip
FRAME = webp_pictures.vp8l_tables(16, 16, 1)
SIDE = 6320  # squared, just below 40 megapixels
FLOODS = {
    "scans": (pictures.scan_bomb(64, 64, jpeg.MAX_SCANS + 1), "65 scans"),
    "scans of a large picture": (pictures.scan_bomb(SIDE, SIDE, 40), "samples in all of its scans"),
    "scans of three components": (pictures.scan_bomb(5000, 5000, 45, 3), "samples in all"),
    "scans that aren't progressive": (pictures.sequential_bomb(64, 64, 65), "65 scans"),
    "coefficients of four components": (pictures.scan_bomb(SIDE, SIDE, 2, 4), "while it is decod"),
    "arithmetic codes": (pictures.jpeg(8, 8, [b"\xff\xda"], frame=0xCA), "baseline or progressive"),
    "segments of EXIF": (pictures.segment_flood(8, 8, 17), "segments with bytes of EXIF"),
    "bytes of EXIF": (
        pictures.segment_flood(8, 8, 16, b"Exif\0\0" + bytes(65_000)), "bytes of EXIF",
    ),
    "segments": (pictures.segment_flood(8, 8, jpeg.MAX_SEGMENTS + 1, b"x"), "segments"),
    "fill bytes": (pictures.fill_flood(8, 8, jpeg.MAX_FILL_BYTES + 5), "fill bytes"),
    "PNG chunks": (pictures.png_chunk_flood(8, 8, png.MAX_OTHER_CHUNKS), "chunks other"),
    "PNG chunks of data": (pictures.png_data_flood(8, 8, png.MAX_DATA_CHUNKS), "chunks of data"),
    "PNG frames": (pictures.png_frame_flood(2, 2, png.MAX_DATA_CHUNKS // 2 + 1), "chunks of data"),
    "PNG texts": (pictures.png_text_bomb(8, 8, png.MAX_PACKED_TEXTS + 1, 100), "packed texts"),
    "PNG profiles": (pictures.png_profile_flood(8, 8, 2, 100), "colour profiles"),
    "PNG when decoded": (pictures.png(SIDE, SIDE, depth=16, colour=6, data=b""), "when decoded"),
    "TIFF tags": (pictures.tiff_tag_flood(8, 8, tiff.MAX_TAGS), "tags"),
    "TIFF numbers": (pictures.tiff(8, 8, {33_000: (3, [0] * 100_000)}), "numbers in its tags"),
    "TIFF strips": (pictures.tiff_tile_flood(190, 190, 1), "strips or tiles"),
    "TIFF strips of the same bytes": (pictures.tiff_strip_flood(64, 64), "bytes in its strips"),
    "TIFF tiles beyond the picture": (
        pictures.tiff(8, 8, {322: (4, [1 << 20]), 323: (4, [1 << 20]), 324: (4, [8])}), "pixels in",
    ),
    "TIFF of JPEG": (pictures.tiff_jpeg(64, 64, pictures.scan_bomb(64, 64, 9)), "Deflate"),
    "TIFF of old JPEG": (pictures.tiff_jpeg(64, 64, pictures.scan_bomb(64, 64, 9), 6), "Deflate"),
    "TIFF of fax codes": (pictures.tiff(64, 64, {259: (3, [4])}), "Deflate"),
    "GIF blocks": (pictures.gif_block_flood(8, 8, gif.MAX_BLOCKS), "blocks in front"),
    "GIF blocks behind an empty extension": (
        pictures.gif(8, 8, before=b"!\xff\0" + b"\x01a" * 99 + b"\0"), "damaged",
    ),
    "GIF blocks behind a loop": (
        pictures.gif(8, 8, before=b"!\xff\x0bNETSCAPE2.0\0" + b"\x01a" * 99 + b"\0"), "damaged",
    ),
    "BMP of run lengths": (pictures.bmp_rle(64, 64), "uncompressed"),
    "WebP frames": (webp_pictures.webp_frame_flood(16, 16, webp.MAX_CHUNKS, FRAME), "chunks"),
    "WebP tables": (
        webp_pictures.webp(webp_pictures.vp8l_tables(264, 264, 4097)), "groups of Huffman tables",
    ),
    "WebP tables in a frame": (
        webp_pictures.webp_frame_flood(264, 264, 2, webp_pictures.vp8l_tables(264, 264, 4097)),
        "groups of Huffman tables",
    ),
    "WebP tables of alpha": (
        webp_pictures.alpha_tables(264, 264, 4097), "groups of Huffman tables",
    ),
    "WebP pixels that steer": (
        webp_pictures.webp(webp_pictures.vp8l_tables(2560, 2560, 1)), "only control",
    ),
    "sides, JPEG": (pictures.scan_bomb(8, 161, 1), "at most 20 times"),
    "sides, PNG": (pictures.png(161, 8), "at most 20 times"),
    "sides, GIF": (pictures.gif(161, 8), "at most 20 times"),
    "sides, TIFF": (pictures.tiff(161, 8), "at most 20 times"),
    "sides, BMP": (encoded(Image.new("L", (161, 8)), "BMP"), "at most 20 times"),
    "sides, WebP": (encoded(Image.new("L", (161, 8)), "WEBP"), "at most 20 times"),
}  # fmt: skip


def never(*_: object, **__: object) -> NoReturn:
    """Replaces a decoder."""
    raise AssertionError("the picture reached its decoder")


@pytest.mark.parametrize("name", FLOODS)
def test_a_picture_beyond_a_bound_never_reaches_its_decoder(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, words = FLOODS[name]
    monkeypatch.setattr(Image, "open", never)
    for read in READS:
        with pytest.raises(Invalid, match=words):
            read(data)


AT_THE_BOUNDS = {
    "scans": pictures.scan_bomb(64, 64, jpeg.MAX_SCANS),
    "scans that aren't progressive": pictures.sequential_bomb(64, 64, jpeg.MAX_SCANS),
    "PNG chunks": pictures.png_chunk_flood(8, 8, png.MAX_OTHER_CHUNKS - 1),
    "PNG chunks of data": pictures.png_data_flood(8, 8, png.MAX_DATA_CHUNKS - 1),
    "PNG texts": pictures.png_text_bomb(8, 8, 60, 100),
    "PNG interlaced": pictures.png(100, 101, depth=16, colour=6, interlaced=True),
    "TIFF tags": pictures.tiff_tag_flood(8, 8, tiff.MAX_TAGS - 9),
    "TIFF pages": pictures.tiff_ifd_flood(8, 8, 2000),
    "TIFF strips": pictures.tiff_flat(100, 2000, rows=1),
    "TIFF tiles": pictures.tiff_tile_flood(100, 100, 16),
    "GIF blocks": pictures.gif_block_flood(8, 8, gif.MAX_BLOCKS - 2),
    "GIF frames": pictures.gif_frame_flood(8, 8, 2000),
    "WebP frames": webp_pictures.webp_frame_flood(16, 16, webp.MAX_CHUNKS - 2, FRAME),
    "WebP tables": webp_pictures.webp(webp_pictures.vp8l_tables(264, 264, vp8l.MAX_GROUPS)),
    "sides": pictures.png(160, 8),
}


@pytest.mark.parametrize("name", AT_THE_BOUNDS)
def test_a_picture_at_a_bound_is_read(name: str) -> None:
    for read in READS:
        read(AT_THE_BOUNDS[name])


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"progressive": True, "subsampling": 0}]
)
def test_large_photographs_pass_with_room(options: dict[str, int]) -> None:
    """Ten scans of 40 megapixels: the walk counts them, and half as many again would pass."""
    small = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(small).resize((320, 240)), "JPEG", **options)
    place = data.index(b"\xff\xc0" if not options else b"\xff\xc2")
    claim = data[: place + 5] + struct.pack(">HH", 5470, 7300) + data[place + 9 :]
    assert data.count(b"\xff\xda") == (10 if options else 1)
    jpeg.check_jpeg(claim)


@pytest.mark.parametrize("method", [0, 3, 6])
@pytest.mark.parametrize("kind", ["noise", "photograph", "palette", "halves"])
def test_every_lossless_webp_of_the_usual_encoder_passes(kind: str, method: int) -> None:
    """Its transforms, small pictures and caches are read to their end."""
    random = np.random.default_rng(method)
    small = Image.fromarray(random.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    pixels = {
        "noise": random.integers(0, 256, (90, 131, 3), dtype=np.uint8),
        "photograph": np.asarray(small.resize((331, 290), Image.Resampling.BICUBIC)),
        "palette": np.asarray(small.quantize(12).resize((331, 290)).convert("RGB")),
        "halves": np.vstack(
            [np.asarray(small.resize((300, 150))), random.integers(0, 9, (150, 300, 3), np.uint8)]
        ),
    }[kind]
    alpha = Image.fromarray(pixels).convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(alpha.size))
    for image, lossless in ((Image.fromarray(pixels), True), (alpha, True), (alpha, False)):
        data = encoded(image, "WEBP", lossless=lossless, method=method, quality=90)
        assert inspect_image(data).width == image.width


def test_scans_of_a_thumbnail_and_of_a_second_picture_do_not_count() -> None:
    """Phones write both; libjpeg decodes neither."""
    thumbnail = pictures.segment(0xE1, b"Exif\0\0" + b"\xff\xda\0\x08" * 200)
    second = pictures.scan_bomb(64, 64, 200)
    data = pictures.jpeg(64, 64, [pictures.dc_scan()], before=thumbnail) + second
    assert inspect_image(data).width == 64


def test_a_little_between_two_markers_is_skipped() -> None:
    """As Pillow and libjpeg do."""
    for between in (b"\xff" * 9, bytes(9), b"\xff\0\xff\0", b"junk\xff\xff"):
        before = pictures.segment(0xFE, b"a comment") + between
        assert inspect_image(pictures.jpeg(8, 8, [pictures.dc_scan()], before=before)).width == 8


def test_marks_within_a_segment_between_scans_are_no_scans() -> None:
    comment = pictures.segment(0xFE, b"\xff\xda\0\x08" * 200)
    scans = [pictures.dc_scan(), comment, pictures.ac_scan(b"\0"), comment]
    assert inspect_image(pictures.jpeg(64, 64, scans)).width == 64


def test_scans_behind_one_of_all_components_are_not_decoded() -> None:
    """They need not be counted: libjpeg refuses the second one before decoding it."""
    inspect_image(pictures.sequential_bomb(64, 64, 1, components=1))
    with pytest.raises(Invalid, match="damaged"):
        inspect_image(pictures.sequential_bomb(64, 64, 1000, components=1))


@pytest.mark.parametrize(
    "between", [b"\xff\xd0", b"\xff\x01", b"\xff\xff\xff", b"junk", b"\xff\x00", b"\xff\xd7junk"]
)
def test_no_byte_between_scans_hides_them(between: bytes) -> None:
    scans = [pictures.dc_scan(), *[between + pictures.ac_scan(b"\0")] * 64]
    with pytest.raises(Invalid, match="65 scans"):
        inspect_image(pictures.jpeg(64, 64, scans))


def test_a_picture_is_never_tried_as_another_format() -> None:
    """Pillow would try the next format where the first one fails."""
    for kind in FORMATS:
        start = kind.starts[0].replace(b"?", b"\0")
        assert find_format(start + bytes(100)) is kind
        with pytest.raises((Invalid, NotAnImage)):
            inspect_image(start + bytes(100))
    assert find_format(b"II+\0" + bytes(100)) is None  # BigTIFF


def test_a_turned_tiff_has_the_size_that_it_shows() -> None:
    """Pillow turns TIFF by itself."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(gradient(64, 48), "TIFF", exif=exif)
    info = inspect_image(data)
    assert (info.width, info.height) == measure_image(data) == decode_image(data).size == (48, 64)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "CMYK", "L", "1"])
def test_bands_are_the_whole_picture(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = gradient(90, 70)
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    kind = {"CMYK": "TIFF"}.get(mode, "PNG")
    data = encoded((image if "A" in mode else image.convert("RGB")).convert(mode), kind)
    whole = np.asarray(decode_image(data))
    monkeypatch.setattr("models.images.BAND_PIXELS", 500)
    assert np.array_equal(np.asarray(decode_image(data)), whole)


def test_deep_grey_in_bands_is_the_whole_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = np.linspace(0, 65535, 90 * 70).reshape(70, 90)
    for data in (
        encoded(Image.fromarray(deep.astype(np.uint16)), "PNG"),
        encoded(Image.fromarray((deep / 65535).astype(np.float32)), "TIFF"),
    ):
        monkeypatch.setattr("models.images.BAND_PIXELS", 10**6)
        whole = np.asarray(decode_image(data))
        assert whole.max() == 255
        monkeypatch.setattr("models.images.BAND_PIXELS", 500)
        assert np.array_equal(np.asarray(decode_image(data)), whole)


def test_a_profile_of_many_steps_is_not_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps of its chains would be evaluated one by one, however many there are."""
    head = bytes(12) + b"mntrRGB XYZ " + bytes(104) + struct.pack(">I", 1)
    profile = head + b"D2B0" + struct.pack(">II", 144, 8) + bytes(8)
    monkeypatch.setattr("models.images.ImageCms.ImageCmsProfile", never)
    out = io.BytesIO()
    gradient().save(out, "PNG", icc_profile=profile)
    public_copy(out.getvalue())


def test_truncated_pictures_are_not_let_through() -> None:
    """The limits hold for Pillow's default setting."""
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
