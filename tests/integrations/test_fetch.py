"""The guarded fetcher against a real TLS server on the loopback."""

from pathlib import Path

import pytest

from errors import Invalid, NotAnImage, StudioError, TooLarge, UpstreamFailed
from integrations import fetch
from integrations.fetch import Fetcher
from tests.support.fakes import picture
from tests.support.picture_server import JPEG, NAME, PictureServer, answer, open_fetcher, url_of


async def test_a_picture(
    server: PictureServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await fetcher.fetch_image(url_of(server, "/ok.jpg")) == JPEG
    request = server.requests[0].decode().lower()
    assert f"host: {NAME}:{server.port}" in request
    assert "accept-encoding: identity" in request
    for unwanted in ("cookie", "authorization", "referer"):
        assert unwanted not in request


@pytest.mark.parametrize(("kind", "media_type"), [("AVIF", "avif"), ("HEIF", "heic")])
async def test_pictures_of_phones(
    server: PictureServer, fetcher: Fetcher, kind: str, media_type: str
) -> None:
    data = picture("red", (32, 24), kind)
    server.pages["/photo"] = answer(body=data, Content_Type=f"image/{media_type}")
    assert await fetcher.fetch_image(url_of(server, "/photo")) == data


@pytest.mark.parametrize("brand", [b"isom", b"mp42", b"avis", b"qt  "])
async def test_films_are_no_pictures(server: PictureServer, fetcher: Fetcher, brand: bytes) -> None:
    body = b"\0\0\0\x18ftyp" + brand + bytes(12)
    server.pages["/film"] = answer(body=body, Content_Type="image/avif")
    with pytest.raises(NotAnImage):
        await fetcher.fetch_image(url_of(server, "/film"))


REFUSED = [
    "http://pictures.example/a.jpg", "ftp://pictures.example/a.jpg", "file:///etc/passwd",
    "//pictures.example/a.jpg", "/a.jpg", "", "a", "https://", "https:///a.jpg", "https://:443/",
    "data:image/png;base64,AAAA", "gopher://x.example/", "javascript:alert(1)",
    "https://user@pictures.example/a", "https://user:pw@pictures.example/a",
    "https://pictures.example:80/a", "https://pictures.example:22/a",
    "https://pictures.example:99999/a", "https://pictures.example:x/a",
    "https://127.0.0.1/a", "https://127.1/a", "https://2130706433/a", "https://0x7f000001/a",
    "https://0x7f.0.0.1/a", "https://0177.0.0.1/a", "https://017700000001/a", "https://0/a",
    "https://[::1]/a", "https://[::ffff:127.0.0.1]/a", "https://[fe80::1%25eth0]/a",
    "https://169.254.169.254/latest/meta-data", "https://168.63.129.16/", "https://1.1.1.1/a",
    "https://localhost/a", "https://metadata/a", "https://pictures/a", "https://pictures.example./a",
    "https://127\u30020\u30020\u30021/a", "https://\uff11\uff12\uff17.0.0.1/a",
    "https://\u24db\u24de\u24d2al/a", "https://exa mple.com/a", "https://a..example/a",
    "https://pictures.example\\@127.0.0.1/a", "https://pictures.example%00.evil/a",
    "https://pictures.example\r\nHost: x/a", "https://x/" + "a" * 3000,
]  # fmt: skip


@pytest.mark.parametrize("url", REFUSED)
async def test_refused_before_any_look_up(url: str) -> None:
    look_ups: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        look_ups.append(host)
        return ["127.0.0.1"]

    fetcher = Fetcher(resolve=resolve)
    with pytest.raises(Invalid):
        await fetcher.fetch_image(url)
    assert look_ups == []
    await fetcher.aclose()


@pytest.mark.parametrize(
    ("page", "error"),
    [
        (answer(404), UpstreamFailed),
        (answer(500), UpstreamFailed),
        (answer(304), UpstreamFailed),
        (answer(302), UpstreamFailed),
        (answer(body=b"<html>", Content_Type="text/html"), NotAnImage),
        (answer(body=b"<svg/>", Content_Type="image/svg+xml"), NotAnImage),
        (answer(body=b"not an image"), NotAnImage),
        (answer(body=b""), NotAnImage),
        (answer(body=JPEG, Content_Encoding="gzip"), UpstreamFailed),
        (answer(body=JPEG, Content_Length="15000001"), TooLarge),
        (answer(body=JPEG, Content_Length="9" * 30), StudioError),
        (answer(body=JPEG, Content_Length=str(len(JPEG) + 5)), UpstreamFailed),
        (answer(body=JPEG, Transfer_Encoding="chunked", Content_Length="-"), UpstreamFailed),
        (b"nonsense\r\n\r\n", UpstreamFailed),
        (b"", UpstreamFailed),
        (b"HTTP/1.1 200 X\r\nA: " + b"x" * 300_000, UpstreamFailed),
    ],
)
async def test_what_can_not_be_used(
    server: PictureServer, fetcher: Fetcher, page: bytes, error: type[StudioError]
) -> None:
    server.pages["/page"] = page
    with pytest.raises(error):
        await fetcher.fetch_image(url_of(server, "/page"))
    assert await fetcher.fetch_image(url_of(server, "/ok.jpg")) == JPEG


async def test_bytes_without_end(server: PictureServer, fetcher: Fetcher) -> None:
    with pytest.raises(TooLarge):
        await fetcher.fetch_image(url_of(server, "/endless"))


async def test_bytes_without_haste(
    server: PictureServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "TOTAL_S", 0.5)
    with pytest.raises(UpstreamFailed):
        await fetcher.fetch_image(url_of(server, "/slow"))


async def test_only_what_the_allow_list_names(server: PictureServer, certificate: Path) -> None:
    async with open_fetcher(server, certificate, allow=(f"*.{NAME}",)) as fetcher:
        assert await fetcher.fetch_image(url_of(server, "/ok.jpg", f"b.{NAME}")) == JPEG
        with pytest.raises(Invalid):
            await fetcher.fetch_image(url_of(server, "/ok.jpg"))
        server.pages["/away"] = answer(302, Location=url_of(server, "/ok.jpg"))
        with pytest.raises(Invalid):
            await fetcher.fetch_image(url_of(server, "/away", f"b.{NAME}"))
    async with open_fetcher(server, certificate, allow=(NAME,)) as fetcher:
        assert await fetcher.fetch_image(url_of(server, "/ok.jpg")) == JPEG
        with pytest.raises(Invalid):
            await fetcher.fetch_image(url_of(server, "/ok.jpg", f"b.{NAME}"))
