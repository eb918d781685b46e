"""Imports that patch or replace a catalogue, and imports of other systems' files."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from errors import Unavailable
from settings import Settings
from studio.ports import Studio
from tests.gateway.routes.test_imports import finish
from tests.gateway.routes.test_search import upload
from tests.support.fakes import FakeEmbedder, picture, sign_in
from tests.support.live import open_live_studio

HEADER = "id;title;category;price;currency;fileId;inStock"


@pytest.fixture
async def studio(settings: Settings) -> AsyncIterator[Studio]:
    async with open_live_studio(settings) as opened:
        yield opened


class Merchant:
    """A merchant with a picture who imports files."""

    def __init__(self, client: httpx.AsyncClient, studio: Studio, headers: dict[str, str]) -> None:
        self.client = client
        self.headers = headers
        self.file_id = ""
        self._studio = studio

    async def import_file(self, data: bytes, **options: str) -> Any:
        answer = await self.client.post(
            "/api/catalog/import", content=data, params=options, headers=self.headers
        )
        return await finish(self._studio, answer)

    async def import_rows(self, *rows: str, **options: str) -> Any:
        lines = "\n".join([HEADER, *(row.replace("FILE", self.file_id) for row in rows)])
        return await self.import_file(lines.encode("windows-1252"), **options)

    async def product(self, product_id: str) -> dict[str, Any]:
        answer = await self.client.get(f"/api/catalog/products/{product_id}")
        return answer.json() if answer.is_success else {}


@pytest.fixture
async def merchant(client: httpx.AsyncClient, studio: Studio) -> Merchant:
    merchant = Merchant(client, studio, await sign_in(client, studio, "merchant"))
    merchant.file_id = await upload(client, merchant.headers, picture("red"))
    return merchant


def rows_of(*numbers: int) -> list[str]:
    return [f"p-{number};Gürtel {number};Accessoires;19,9;EUR;FILE;nein" for number in numbers]


async def test_a_sheet_in_an_old_encoding_lands(merchant: Merchant) -> None:
    job = await merchant.import_rows(*rows_of(1), "p-2;;x;1;EUR;FILE;ja")
    assert job.state == "succeeded", job.error
    product = await merchant.product("p-1")
    assert (product["title"], product["price"], product["inStock"]) == ("Gürtel 1", "19.90", False)
    (error,) = job.result["errors"]
    assert (error["line"], error["id"]) == (3, "p-2") and "title" in error["detail"]


async def test_a_file_of_which_nothing_lands_is_a_failed_job(merchant: Merchant) -> None:
    job = await merchant.import_rows("p-1;T;c;free;EUR;FILE;ja", "p-2;T;c;1;EUR;FILE;perhaps")
    assert job.state == "failed"
    assert job.error == (
        "no product was imported of 2; line 2: price: 'free' is not a price, such as 19.90"
    )
    assert [error["line"] for error in job.result["errors"]] == [2, 3]
    empty = await merchant.import_rows()
    assert empty.state == "failed" and "no lines below its header" in empty.error


async def test_a_patch_changes_prices_and_embeds_nothing(
    merchant: Merchant, studio: Studio
) -> None:
    assert (await merchant.import_rows(*rows_of(1, 2))).state == "succeeded"
    embedder = studio.embedder
    assert isinstance(embedder, FakeEmbedder)
    before = await merchant.product("p-1")
    embedder.failure = Unavailable("nothing may be embedded")
    job = await merchant.import_file(
        b"id;price;currency;stock\np-1;1.049,95;EUR;3\np-9;1;EUR;1\n;1;EUR;1\n", mode="patch"
    )
    assert job.state == "succeeded", job.error
    after = await merchant.product("p-1")
    assert after | {"updatedAt": ""} == before | {
        "price": "1049.95", "inStock": True, "updatedAt": "", "image": after["image"],
    } | {"images": after["images"]}  # fmt: skip
    absent, nameless = job.result["errors"]
    assert "no product p-9" in absent["detail"] and "id" in nameless["detail"]


async def test_a_replacement_removes_what_the_file_does_not_name(merchant: Merchant) -> None:
    await merchant.import_rows(*rows_of(1, 2, 3, 4))
    other = Merchant(merchant.client, merchant._studio, dict(merchant.headers))
    other.headers = await sign_in(merchant.client, merchant._studio, "merchant")
    other.file_id = await upload(merchant.client, other.headers, picture("blue"))
    await other.import_rows("q-1;T;c;1;EUR;FILE;ja")
    job = await merchant.import_rows(*rows_of(1, 2), "p-3;T;c;free;EUR;FILE;ja", mode="replace")
    assert job.state == "succeeded" and job.result["removed"] == 1, job.error
    assert [bool(await merchant.product(f"p-{n}")) for n in (1, 2, 3, 4)] == [
        True,
        True,
        True,
        False,
    ]
    assert await merchant.product("q-1")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda rows: rows[:1], "does not name 3 of 4 products, more than half"),
        (lambda rows: [*rows, "only;two"], "lines that can't be read have no id"),
    ],
)
async def test_a_replacement_that_removes_too_much_is_refused(
    merchant: Merchant, edit: Callable[[list[str]], list[str]], said: str
) -> None:
    await merchant.import_rows(*rows_of(1, 2, 3, 4))
    job = await merchant.import_rows(*edit(rows_of(1, 2, 3)), mode="replace")
    assert job.state == "failed" and said in job.error and job.result["imported"] > 0
    assert all([await merchant.product(f"p-{number}") for number in (1, 2, 3, 4)])


async def test_force_removes_most_of_a_catalogue(merchant: Merchant) -> None:
    await merchant.import_rows(*rows_of(1, 2, 3, 4))
    job = await merchant.import_rows(*rows_of(1), mode="replace", force="true")
    assert job.state == "succeeded" and job.result["removed"] == 3
    assert not await merchant.product("p-2")


async def test_a_google_feed_lands_and_names_what_it_ignores(merchant: Merchant) -> None:
    url = (await merchant.client.get(
        f"/api/files/{merchant.file_id}", headers=merchant.headers
    )).json()["readUrl"]  # fmt: skip
    url = url.replace("&", "&amp;")
    item = (
        f"<item><g:id>A/1</g:id><title>Tee &lt;x&gt;</title><g:price>1,299 JPY</g:price>"
        f"<g:image_link>{url}</g:image_link><g:availability>out of stock</g:availability>"
        f"<g:product_type>Tops > Tees</g:product_type><g:tax>1</g:tax></item>"
    )
    job = await merchant.import_file(
        f"<rss xmlns:g='urn:g'><channel>{item}<item><g:id>B</g:id></item></channel></rss>".encode()
    )
    assert job.state == "succeeded", job.error
    product = await merchant.product("A-1")
    assert (product["title"], product["price"], product["currency"]) == ("Tee <x>", "1299", "JPY")
    assert (product["sku"], product["category"], product["inStock"]) == ("A/1", "Tees", False)
    assert job.result["ignoredColumns"] == ["tax"]
    assert job.result["errors"][0]["id"] == "B"


async def test_drafts_are_left_out_and_named(merchant: Merchant) -> None:
    data = b"Handle,Title,Type,Variant Price,Status\na,A,Hat,1,draft\n"
    job = await merchant.import_file(data, currency="EUR")
    assert job.state == "failed" and "its status is draft" in job.error
    (report,) = job.result["leftOut"]
    assert report["id"] == "a" and job.result["skipped"] == 1 and job.result["failed"] == 0


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ({"format": "excel"}, 422, "format"),
        ({"mode": "merge"}, 422, "mode"),
        ({"currency": "euro"}, 422, "currency"),
        ({"format": "jsonl"}, 422, "not JSON lines"),
        ({"colour": "red"}, 422, "colour"),
    ],
)
async def test_bad_options_are_named(
    merchant: Merchant, options: dict[str, str], status: int, said: str
) -> None:
    answer = await merchant.client.post(
        "/api/catalog/import", content=HEADER.encode() + b"\n", params=options,
        headers=merchant.headers,
    )  # fmt: skip
    assert answer.status_code == status and said in answer.text


async def test_the_same_file_with_other_options_is_another_import(merchant: Merchant) -> None:
    key = merchant.headers | {"Idempotency-Key": "import-1"}
    answers = [
        await merchant.client.post(
            "/api/catalog/import", content=HEADER.encode() + b"\n", params=options, headers=key
        )
        for options in ({}, {}, {"mode": "patch"})
    ]
    assert [answer.status_code for answer in answers] == [202, 202, 409]
