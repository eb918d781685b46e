"""Uploads straight to Azure; what Azure accepts wrongly is refused at completion."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from azure.storage.blob import BlobServiceClient, CorsRule

from settings import PROJECT_ROOT
from studio.ports import Studio
from tests.gateway.routes.test_files import JPEG, presign
from tests.support.azurite import ACCOUNT_KEY, Azurite
from tests.support.fakes import make_settings, open_client, open_studio, sign_in


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    server = Azurite(tmp_path_factory.mktemp("azurite")).start()
    server.make_container("studio")
    yield server
    server.stop()


@pytest.fixture
async def studio(
    azure: Azurite, database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[Studio]:
    settings = make_settings(database_url, redis_url, tmp_path, blob_url=azure.blob_url("studio"))
    async with open_studio(settings) as opened:
        yield opened


@pytest.fixture
async def outside() -> AsyncIterator[httpx.AsyncClient]:
    """A client that has only a signed URL."""
    async with httpx.AsyncClient() as client:
        yield client


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Content-Type": "text/html"}, 415),
        ({"x-ms-blob-content-encoding": "gzip"}, 422),
        ({}, 200),
    ],
)
async def test_what_azure_took_is_compared_with_what_was_announced(
    studio: Studio, outside: httpx.AsyncClient, changes: dict[str, str], status: int
) -> None:
    async with open_client(studio) as client:
        headers = await sign_in(client, studio)
        receipt = (await presign(client, headers)).json()
        put = await outside.put(receipt["url"], content=JPEG, headers=receipt["headers"] | changes)
        assert put.status_code == 201
        path = f"/api/files/{receipt['fileId']}"
        done = await client.post(path + "/complete", headers=headers)
        assert done.status_code == status, done.text
        if status == 200:
            read = await outside.get(done.json()["readUrl"])
            assert (read.content, read.headers["content-type"]) == (JPEG, "image/jpeg")
            return
        assert (await client.get(path, headers=headers)).json()["status"] == "failed"
        late = await outside.put(receipt["url"], content=JPEG, headers=receipt["headers"])
        assert late.status_code in (403, 409)
        assert (await outside.get(receipt["fileUrl"])).content == b""
        assert (await client.post(path + "/complete", headers=headers)).status_code == status


def documented_rule() -> dict[str, list[str]]:
    """The options of the command in docs/operations.md that lets pages of a shop upload."""
    text = (PROJECT_ROOT / "docs" / "operations.md").read_text()
    words = re.findall(r"^    az storage cors add (.*)$", text, re.M)[0].split(" --")
    return {name.lstrip("-"): values for name, *values in (word.split() for word in words)}


async def test_the_documented_rule_lets_a_page_upload(
    azure: Azurite, studio: Studio, outside: httpx.AsyncClient
) -> None:
    options = documented_rule()
    rule = CorsRule(
        options["origins"], options["methods"], allowed_headers=options["allowed-headers"],
        exposed_headers=options["exposed-headers"], max_age_in_seconds=int(options["max-age"][0]),
    )  # fmt: skip
    with BlobServiceClient(azure.url, credential=ACCOUNT_KEY) as service:
        service.set_service_properties(cors=[rule])
    async with open_client(studio) as client:
        headers = await sign_in(client, studio)
        receipt = (await presign(client, headers)).json()
        done = f"/api/files/{receipt['fileId']}/complete"
        for origin, status in (("https://other.example", 403), (options["origins"][0], 200)):
            question = {
                "Origin": origin, "Access-Control-Request-Method": "PUT",
                "Access-Control-Request-Headers": ",".join(sorted(receipt["headers"])).lower(),
            }  # fmt: skip
            preflight = await outside.options(receipt["url"], headers=question)
            assert preflight.status_code == status, preflight.text
        allowed = {"Origin": origin}
        put = await outside.put(receipt["url"], content=JPEG, headers=receipt["headers"] | allowed)
        assert put.status_code == 201
        assert put.headers["access-control-allow-origin"] == origin
        read_url = (await client.post(done, headers=headers)).json()["readUrl"]
        read = await outside.get(read_url, headers=allowed)
        assert read.content == JPEG and read.headers["access-control-allow-origin"] == origin
