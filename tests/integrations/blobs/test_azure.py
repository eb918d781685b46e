"""What only the store in Azure does."""

import asyncio
from functools import partial
from typing import Any, cast

import pytest
from azure.storage.blob.aio import BlobServiceClient

from errors import Unavailable
from integrations.blobs.azure import AzureAccount, AzureBlobStore
from integrations.blobs.store import open_blob_store
from tests.integrations.blobs.stores import azure_url, settings_for
from tests.support.azurite import Azurite, Identity


async def test_an_identity_signs_with_a_key_of_the_service(azure: Azurite) -> None:
    """User delegation needs no account key, and one round trip for many signatures."""
    options = cast(Any, {"credential": Identity(), "connection_verify": str(azure.certificate)})
    service = BlobServiceClient(azure.url, **options)
    azure.make_container("delegated")
    store = AzureBlobStore(partial(AzureAccount, service, "delegated"))
    urls = [await store.sign_get(f"uploads/{number}.jpg") for number in range(3)]
    assert all("skoid=" in url and "spr=https&" in url for url in urls)
    first = store._delegation
    await store.sign_get("uploads/x.jpg")
    assert store._delegation is first
    await store.aclose()
    await asyncio.sleep(0.1)


async def test_a_server_that_is_gone() -> None:
    store = open_blob_store(settings_for(azure_url(1, "gone")))
    with pytest.raises(Unavailable):
        await store.check()
    with pytest.raises(Unavailable):
        await store.get("a.png")
    await store.aclose()
