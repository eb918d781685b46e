"""A TLS server of pictures, and a fetcher that may reach it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from integrations.fetch import Fetcher
from tests.support.picture_server import (
    JPEG,
    NAME,
    PictureServer,
    answer,
    make_certificate,
    open_fetcher,
)


@pytest.fixture(scope="package")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def server(certificate: Path) -> AsyncIterator[PictureServer]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    site = PictureServer(hosts={NAME: [["127.0.0.1"]], f"b.{NAME}": [["127.0.0.1"]]})
    site.pages["/ok.jpg"] = answer(body=JPEG)
    listener = await asyncio.start_server(site.serve, "127.0.0.1", 0, ssl=tls)
    site.port = listener.sockets[0].getsockname()[1]
    yield site
    listener.close()


@pytest.fixture
async def fetcher(server: PictureServer, certificate: Path) -> AsyncIterator[Fetcher]:
    async with open_fetcher(server, certificate) as opened:
        yield opened
