"""Redirects are followed, and checked at every step."""

import re

import pytest

from errors import Invalid, UpstreamFailed
from integrations import fetch
from integrations.fetch import Fetcher
from tests.support.picture_server import JPEG, NAME, PictureServer, answer, url_of


async def test_redirects_are_followed_three_times(server: PictureServer, fetcher: Fetcher) -> None:
    server.pages["/1"] = answer(302, Location=url_of(server, "/2", f"b.{NAME}"))
    server.pages["/2"] = answer(307, Location="/3")
    server.pages["/3"] = answer(301, Location="ok.jpg")
    server.pages["/0"] = answer(308, Location="/1")
    assert await fetcher.fetch_image(url_of(server, "/1")) == JPEG
    with pytest.raises(UpstreamFailed):
        await fetcher.fetch_image(url_of(server, "/0"))


@pytest.mark.parametrize(
    "target",
    ["http://pictures.example/ok.jpg", "https://127.0.0.1/x", "https://169.254.169.254/x",
     "https://[::1]/x", "https://localhost/x", "https://u:p@pictures.example/x", "file:///etc/passwd",
     "//127.0.0.1/x", "https://pictures.example:22/x", "ftp://pictures.example/x"],
)  # fmt: skip
async def test_redirects_to_where_nobody_may_go(
    server: PictureServer, fetcher: Fetcher, target: str
) -> None:
    server.pages["/away"] = answer(302, Location=target)
    with pytest.raises(Invalid):
        await fetcher.fetch_image(url_of(server, "/away"))
    assert len(server.requests) == 1


CHAINS = [
    ["https://127.0.0.1/x"],
    ["b", "https://169.254.169.254/latest/meta-data"],
    ["b", "c", "https://[::1]/x"],
    ["c", "http://pictures.example/ok.jpg"],
    ["b", "https://rebound.pictures.example:{port}/ok.jpg"],
    ["c", "b", "https://inside.pictures.example:{port}/x"],
    ["b", "https://mixed.pictures.example:{port}/x"],
    ["b", "b", "//metadata/x"],
    ["c", "https://b.pictures.example:22/x"],
    ["b", "https://user:pw@b.pictures.example:{port}/ok.jpg"],
    ["b", "c", "https://2130706433/x"],
    ["b", "c", "b", "c"],
    ["self"],
]
"""The target of each redirect; `b` and `c` are honest hosts that redirect, `self` to itself."""


@pytest.mark.parametrize("chain", CHAINS, ids=" > ".join)
async def test_chains_of_redirects_that_end_where_nobody_may_go(
    server: PictureServer, fetcher: Fetcher, chain: list[str]
) -> None:
    server.hosts[f"c.{NAME}"] = [["127.0.0.1"]]
    server.hosts[f"inside.{NAME}"] = [["10.0.0.1"]]
    server.hosts[f"mixed.{NAME}"] = [["127.0.0.1", "192.168.0.1"]]
    server.hosts[f"rebound.{NAME}"] = [["fd00::1"], ["127.0.0.1"]]
    for place, target in enumerate(chain):
        locations = {
            "b": url_of(server, f"/{place + 1}", f"b.{NAME}"),
            "c": url_of(server, f"/{place + 1}", f"c.{NAME}"),
            "self": url_of(server, f"/{place}"),
        }
        location = locations.get(target, target.format(port=server.port))
        server.pages[f"/{place}"] = answer(302, Location=location)
    with pytest.raises((Invalid, UpstreamFailed)):
        await fetcher.fetch_image(url_of(server, "/0"))
    # Only the honest hosts were asked, and not more often than the limit allows.
    assert 1 <= len(server.requests) <= fetch.MAX_REDIRECTS + 1
    honest = {NAME, f"b.{NAME}", f"c.{NAME}"}
    hosts = {re.search(rb"Host: ([^:\r]+)", head).group(1).decode() for head in server.requests}  # type: ignore[union-attr]
    assert hosts <= honest


async def test_a_redirect_to_a_name_of_a_private_address(
    server: PictureServer, fetcher: Fetcher
) -> None:
    server.hosts[f"b.{NAME}"] = [["10.0.0.1"]]
    server.pages["/away"] = answer(302, Location=url_of(server, "/x", f"b.{NAME}"))
    with pytest.raises(Invalid):
        await fetcher.fetch_image(url_of(server, "/away"))
