"""Encodings are found without a guess that loses text."""

import io
from pathlib import Path

import pytest

from errors import Invalid
from studio.catalog.formats.encoding import (
    CHUNK_BYTES,
    decode_start,
    find_encoding,
    write_utf8,
)


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"", "utf-8"),
        (b"plain", "utf-8"),
        ("Łódź".encode(), "utf-8"),
        (b"\xef\xbb\xbfplain", "utf-8"),
        ("Łódź".encode("utf-16"), "utf-16"),
        (b"\xfe\xff" + "Łódź".encode("utf-16-be"), "utf-16"),
        ("d’été 50 €".encode("windows-1252"), "windows-1252"),
        ("ü".encode() + b"\xff", "utf-8"),
        (b"x" * (CHUNK_BYTES - 1) + "ü".encode(), "utf-8"),
        (b"x" * CHUNK_BYTES + b"\xe9", "windows-1252"),
    ],
)
def test_the_encoding_of_a_file(data: bytes, encoding: str) -> None:
    file = io.BytesIO(data)
    assert find_encoding(file) == encoding and file.tell() == 0


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "windows-1252"])
def test_a_file_is_written_as_utf8(tmp_path: Path, encoding: str) -> None:
    text = "d’été – 50 €\r\n" * 20_000
    write_utf8(io.BytesIO(text.encode(encoding)), tmp_path / "copy", encoding)
    assert (tmp_path / "copy").read_bytes().decode() == text
    start = text.encode(encoding)[: CHUNK_BYTES - 1]
    assert text.startswith(decode_start(start, is_whole=False).decode(errors="ignore"))


def test_a_damaged_utf16_file_is_an_error(tmp_path: Path) -> None:
    damaged = "title".encode("utf-16") + b"\x00\xd8x"
    with pytest.raises(Invalid, match="not utf-16"):
        write_utf8(io.BytesIO(damaged), tmp_path / "copy", "utf-16")
    with pytest.raises(Invalid, match="not utf-16"):
        decode_start(damaged, is_whole=True)
