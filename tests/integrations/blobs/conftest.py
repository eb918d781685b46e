"""Every blob store in turn: a folder, and Azure by key and by identity."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from azure.storage.blob.aio import BlobServiceClient

from integrations.blobs import store as blob
from integrations.blobs.azure import AzureAccount, AzureBlobStore
from integrations.blobs.store import open_blob_store
from tests.integrations.blobs.stores import Store, callers_of, settings_for
from tests.support.azurite import Azurite, Identity


@pytest.fixture(scope="package")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """A real Azurite with a certificate."""
    server = Azurite(tmp_path_factory.mktemp("azurite"), tls=True).start()
    yield server
    server.stop()


@pytest.fixture(params=["folder", "key", "identity"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Store]:
    if request.param == "folder":
        opened: Store = open_blob_store(settings_for(f"file://{tmp_path}/blobs%20here"))
    else:
        server: Azurite = request.getfixturevalue("azure")
        trusting = blob.AZURE_OPTIONS | {"connection_verify": str(server.certificate)}
        monkeypatch.setattr(blob, "AZURE_OPTIONS", trusting)
        container = f"c{time.time_ns()}"
        server.make_container(container)
        if request.param == "key":
            opened = open_blob_store(settings_for(server.blob_url(container)))
        else:  # as `open_azure_by_identity`, whose credential only Azure itself gives
            options = cast(Any, {"credential": Identity()} | trusting)
            service = BlobServiceClient(server.url, **options)
            opened = AzureBlobStore(partial(AzureAccount, service, container))
    yield opened
    await opened.aclose()
    await asyncio.sleep(0.1)  # TLS says good-bye in the background


@pytest.fixture
async def callers(request: pytest.FixtureRequest, store: Store) -> AsyncIterator[httpx.AsyncClient]:
    is_azure = isinstance(store, AzureBlobStore)
    certificate = request.getfixturevalue("azure").certificate if is_azure else None
    async with callers_of(store, certificate) as client:
        yield client
