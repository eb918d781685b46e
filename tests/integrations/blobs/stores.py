"""Blob stores of the tests: a folder, and Azure as Azurite simulates it."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
from fastapi import FastAPI

from gateway.arrivals import Arrivals
from gateway.error_answers import register_handlers
from gateway.routes import blobs
from integrations.blobs.azure import AzureBlobStore
from integrations.blobs.local import LocalBlobStore
from settings import Settings
from tests.support.azurite import ACCOUNT, ACCOUNT_KEY

SECRET = "a secret of more than thirty-two bytes"

BASE = "http://studio.test"


def settings_for(url: str) -> Settings:
    return Settings(blob_url=url, jwt_secret=SECRET, public_url=BASE)


def azure_url(port: int, container: str) -> str:
    return (
        f"azure://{container};DefaultEndpointsProtocol=http;AccountName={ACCOUNT};"
        f"AccountKey={ACCOUNT_KEY};BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};"
    )


Store = LocalBlobStore | AzureBlobStore


@asynccontextmanager
async def callers_of(store: Store, certificate: Path | None) -> AsyncIterator[httpx.AsyncClient]:
    """A client for the store's URLs: over the network, or through the Gateway's own route."""
    if isinstance(store, AzureBlobStore):
        async with httpx.AsyncClient(
            verify=ssl.create_default_context(cafile=certificate)
        ) as client:
            yield client
        return
    app = FastAPI()
    app.state.resources = SimpleNamespace(studio=SimpleNamespace(blobs=store), arrivals=Arrivals())
    register_handlers(app)
    app.include_router(blobs.router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        yield client
