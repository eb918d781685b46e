"""Every address of a name is checked before a connection is made to it."""

import pytest

from errors import Invalid, UpstreamFailed
from integrations.fetch import Fetcher
from tests.integrations.test_addresses import HOSTILE
from tests.support.picture_server import JPEG, NAME, PictureServer, url_of


@pytest.mark.parametrize(
    "answers",
    [*([address] for address in HOSTILE.split()), ["1.1.1.1", "127.0.0.1"], ["fd00::1", "1.1.1.1"],
     ["fe80::1%lo"], ["1.1.1.1", "8.8.8.8", "::ffff:10.0.0.1"]],
)  # fmt: skip
async def test_names_of_private_addresses(answers: list[str]) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return answers

    fetcher = Fetcher(resolve=resolve)
    with pytest.raises(Invalid) as refused:
        await fetcher.fetch_image("https://pictures.example/a.jpg")
    assert answers[0] not in refused.value.detail
    await fetcher.aclose()


async def test_a_name_that_changes_its_mind_is_dialled_as_checked(
    server: PictureServer, fetcher: Fetcher
) -> None:
    """DNS rebinding: a second look-up would give another address, so there is none."""
    server.hosts[NAME] = [["127.0.0.1"], ["10.0.0.1"]]
    assert await fetcher.fetch_image(url_of(server, "/ok.jpg")) == JPEG
    assert server.resolved == [NAME]
    with pytest.raises(Invalid):
        await fetcher.fetch_image(url_of(server, "/ok.jpg"))


async def test_names_without_an_address_and_servers_without_a_certificate(
    server: PictureServer, fetcher: Fetcher
) -> None:
    with pytest.raises(UpstreamFailed):
        await fetcher.fetch_image(url_of(server, "/ok.jpg", "unknown.example"))
    server.hosts["other.example"] = [["127.0.0.1"]]
    with pytest.raises(UpstreamFailed):
        await fetcher.fetch_image(url_of(server, "/ok.jpg", "other.example"))
    assert server.requests == []
