"""What only the store in Azure does."""

import asyncio
from functools import partial
from typing import Any, cast

import pytest
from azure.identity.aio import DefaultAzureCredential
from azure.storage.blob.aio import BlobServiceClient

from errors import Unavailable
from integrations.blobs import store as store_module
from integrations.blobs.azure import AzureAccount, AzureBlobStore
from integrations.blobs.store import open_azure_by_key, open_blob_store
from tests.integrations.blobs.stores import azure_url, settings_for
from tests.support.azurite import ACCOUNT_KEY, Azurite, Identity


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


async def test_a_managed_identity_opens_with_the_locked_packages() -> None:
    """The URL of the README; only Azure itself gives such an identity a token."""
    store = open_blob_store(settings_for("https://account.blob.core.windows.net/pictures"))
    assert isinstance(store, AzureBlobStore)
    credential = store._account().service.credential
    assert isinstance(credential, DefaultAzureCredential)
    assert store._container.url == "https://account.blob.core.windows.net/pictures"
    assert store._account().key is None
    await store.aclose()


async def test_a_server_that_is_gone() -> None:
    store = open_blob_store(settings_for(azure_url(1, "gone")))
    with pytest.raises(Unavailable):
        await store.check()
    with pytest.raises(Unavailable):
        await store.get("a.png")
    await store.aclose()


async def test_a_new_account_key_is_used_without_a_restart(
    azure: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusting = store_module.AZURE_OPTIONS | {"connection_verify": str(azure.certificate)}
    monkeypatch.setattr(store_module, "AZURE_OPTIONS", trusting)
    azure.make_container("rotated")
    right = azure.blob_url("rotated").removeprefix("azure://")
    texts = [right.replace(ACCOUNT_KEY, "d3Jvbmc=")]
    store = open_azure_by_key(lambda: texts[-1])
    with pytest.raises(Unavailable):
        await store.put("uploads/a.png", b"a", "image/png")
    texts.append("nonsense")  # keeps the last good account
    with pytest.raises(Unavailable):
        await store.put("uploads/a.png", b"a", "image/png")
    texts.append(right)
    await store.put("uploads/a.png", b"a", "image/png")
    assert await store.get("uploads/a.png") == b"a"
    await store.aclose()
    await asyncio.sleep(0.1)
