"""Routes of the catalogue: single products, and bulk imports."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from errors import Malformed
from gateway.deps import CurrentUser, IdempotencyKey, Merchant, PlacesDep, Public, StudioDep
from gateway.paging import PageDep, page_of
from gateway.product_wire import ProductResponse
from gateway.wire import JobAccepted, Page
from studio.catalog import catalog
from studio.catalog.catalog import Owner
from studio.catalog.form import ProductForm, ProductPatch
from studio.catalog.imports import (
    IMPORT_CATALOG,
    ImportForm,
    ReceivedFile,
    enqueue_import,
    read_start,
    receive_file,
)
from studio.catalog.shown import ShownProduct, find_product, list_page
from studio.forms import ProductId
from studio.jobs.jobs import submit_job
from studio.ports import Studio

router = APIRouter(prefix="/api/catalog", tags=["catalog"])

PRODUCT = "/products/{product_id:path}"
"""The path of a product. An id with a slash matches, too, so that its error says what is wrong."""

ARRIVAL_LIMIT_S = 600.0


def owner_of(user: CurrentUser) -> Owner:
    """The user as an owner of products; admins may write everyone's products."""
    return Owner(user.id, is_admin=user.role == "admin")


class PreparedAnswer:
    """The answer of a write, made before its transaction ends: an error prevents the commit."""

    product: ProductResponse

    def __init__(self, studio: Studio) -> None:
        self._blobs = studio.blobs

    async def prepare(self, shown: ShownProduct) -> None:
        """Makes the answer."""
        self.product = await ProductResponse.of(self._blobs, shown)
        self.product.model_dump_json(by_alias=True)


@router.put(PRODUCT, responses={201: {"model": ProductResponse}})
async def put_product(
    product_id: ProductId,
    form: ProductForm,
    user: Merchant,
    studio: StudioDep,
    response: Response,
) -> ProductResponse:
    """Creates (201) or replaces (200) a product; searchable within two seconds."""
    answer = PreparedAnswer(studio)
    _, is_new = await catalog.put_product(
        studio, owner_of(user), product_id, form, check=answer.prepare
    )
    if is_new:
        response.status_code = 201
        response.headers["Location"] = f"/api/catalog/products/{quote(product_id, safe='')}"
    return answer.product


@router.patch(PRODUCT)
async def patch_product(
    product_id: ProductId, patch: ProductPatch, user: Merchant, studio: StudioDep
) -> ProductResponse:
    """Changes the fields that the body names, as a JSON merge patch; the others stay.

    Null clears an optional field. `attributes` is merged name by name, pictures are replaced as a
    whole. A change without pictures embeds nothing. An empty patch changes nothing.
    """
    answer = PreparedAnswer(studio)
    await catalog.patch_product(studio, owner_of(user), product_id, patch, check=answer.prepare)
    return answer.product


@router.get(PRODUCT, dependencies=[Public])
async def read_product(product_id: ProductId, studio: StudioDep) -> ProductResponse:
    """Returns a product."""
    return await ProductResponse.of(studio.blobs, await find_product(studio, product_id))


@router.delete(PRODUCT, status_code=204, response_class=Response)
async def delete_product(
    product_id: ProductId, user: Merchant, studio: StudioDep, places: PlacesDep
) -> None:
    """Removes a product from catalogue and search."""
    async with places.deletions.place(user.id):
        await catalog.delete_product(studio, owner_of(user), product_id)


@router.get("/products", dependencies=[Public])
async def read_products(page: PageDep, studio: StudioDep) -> Page[ProductResponse]:
    """Lists all products, newest first."""
    rows = await list_page(studio, limit=page.row_limit, after=page.after_name)
    return await page_of(rows, page, partial(ProductResponse.of, studio.blobs))


async def read_import(
    request: Request, user: Merchant, places: PlacesDep
) -> AsyncIterator[ReceivedFile | ImportForm]:
    """The uploaded file, on disk until the answer is sent, or a form that names a dataset.

    Raises:
        OwnerBusy, AllBusy: too many imports arrive already.
        HTTPException: 408, the body did not arrive in time.
    """
    async with places.imports.place(user.id):
        with tempfile.TemporaryDirectory(prefix="import-") as folder:
            try:
                async with asyncio.timeout(ARRIVAL_LIMIT_S):
                    received = await receive_file(request.stream(), Path(folder) / "lines")
            except TimeoutError:
                detail = "the body did not arrive in time"
                raise HTTPException(408, detail, headers={"Connection": "close"}) from None
            content_type = request.headers.get("content-type", "").split(";")[0].strip()
            form = None
            if content_type == "application/json":
                form = await asyncio.to_thread(name_dataset, received)
            yield form or received


def name_dataset(received: ReceivedFile) -> ImportForm | None:
    """The form where the body is `{"fileId": …}`; None where it is a file of products.

    Raises:
        Malformed: it is neither.
    """
    start = read_start(received.path)
    try:
        return ImportForm.model_validate_json(start)
    except ValidationError:
        # One product as JSON is a file of one line; `fileId` alone names a dataset.
        if b'"title"' in start:
            return None
        raise Malformed('the body must be JSON lines, CSV or {"fileId": …}') from None


@router.post("/import", status_code=202)
async def import_products(
    user: Merchant,
    studio: StudioDep,
    source: Annotated[ReceivedFile | ImportForm, Depends(read_import)],
    idempotency_key: IdempotencyKey = None,
) -> JobAccepted:
    """Imports JSON lines or CSV; the job's result lists the lines that are not valid."""
    if isinstance(source, ImportForm):
        job = await submit_job(
            studio, IMPORT_CATALOG, source, owner_id=user.id, idempotency_key=idempotency_key
        )
    else:
        job = await enqueue_import(studio, user.id, source, idempotency_key)
    return JobAccepted(job_id=job.id)
