"""Routes of the catalogue: products one by one, and many by import."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import ValidationError

from db.catalog import get_product, list_products
from db.tables import Product
from errors import Malformed, NotFound
from gateway.deps import CurrentUser, IdempotencyKey, Merchant, Public, StudioDep
from gateway.paging import Cursor, PageDep
from gateway.wire import JobAccepted, Page, WireRequest, WireResponse
from studio import catalog
from studio.catalog import Owner
from studio.catalog_import import IMPORT_CATALOG, ImportForm, enqueue_import
from studio.jobs import submit_job
from studio.ports import Studio
from studio.product_form import ID_PATTERN, ProductForm

router = APIRouter(prefix="/api/catalog", tags=["catalog"])

ProductId = Annotated[str, Path(pattern=ID_PATTERN)]


class ProductRequest(ProductForm, WireRequest):
    """The whole product; a PUT replaces all of it."""


class ProductResponse(WireResponse):
    """A product as everyone sees it."""

    id: str
    title: str
    description: str | None
    category: str
    brand: str | None
    price: str
    currency: str
    in_stock: bool
    image: str
    attributes: dict[str, Any]
    created_at: datetime
    updated_at: datetime


async def to_response(studio: Studio, product: Product) -> ProductResponse:
    """Row -> wire, with a signed URL of the picture."""
    names = set(ProductResponse.model_fields) - {"image", "price"}
    return ProductResponse(
        **{name: getattr(product, name) for name in names},
        price=f"{product.price:f}",
        image=await studio.blobs.sign_get(product.image_key),
    )


def owner_of(user: CurrentUser) -> Owner:
    """Admins may write everyone's products."""
    return Owner(user.id, is_admin=user.role == "admin")


@router.put("/products/{product_id}", responses={201: {"model": ProductResponse}})
async def put_product(
    product_id: ProductId,
    body: ProductRequest,
    user: Merchant,
    studio: StudioDep,
    response: Response,
) -> ProductResponse:
    """Creates (201) or replaces (200) a product; found by searches within two seconds."""
    product, is_new = await catalog.put_product(studio, owner_of(user), product_id, body.to_draft())
    if is_new:
        response.status_code = 201
        response.headers["Location"] = f"/api/catalog/products/{product_id}"
    return await to_response(studio, product)


@router.get("/products/{product_id}", dependencies=[Public])
async def read_product(product_id: ProductId, studio: StudioDep) -> ProductResponse:
    """One product."""
    async with studio.database.transaction() as session:
        product = await get_product(session, product_id)
    if product is None:
        raise NotFound(f"there is no product {product_id}")
    return await to_response(studio, product)


@router.delete("/products/{product_id}", status_code=204, response_class=Response)
async def delete_product(product_id: ProductId, user: Merchant, studio: StudioDep) -> None:
    """Takes a product out of catalogue and search."""
    await catalog.delete_product(studio, owner_of(user), product_id)


@router.get("/products", dependencies=[Public])
async def read_products(page: PageDep, studio: StudioDep) -> Page[ProductResponse]:
    """All products, newest first."""
    after = (page.after.at, page.after.id) if page.after else None
    async with studio.database.transaction() as session:
        found = await list_products(session, limit=page.limit + 1, after=after)
    shown = found[: page.limit]
    more = len(found) > page.limit
    return Page(
        items=[await to_response(studio, product) for product in shown],
        next_cursor=Cursor(shown[-1].created_at, shown[-1].id).encode() if more else None,
    )


async def read_import(request: Request, user: Merchant) -> bytes | ImportForm:
    """The file itself, or the name of an uploaded dataset."""
    body = await request.body()
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        return body
    try:
        return ImportForm.model_validate_json(body)
    except ValidationError:
        # One product as JSON is a file of one line; `fileId` alone names a dataset.
        if b'"title"' in body:
            return body
        raise Malformed('the body must be JSON lines, CSV or {"fileId": …}') from None


@router.post("/import", status_code=202)
async def import_products(
    user: Merchant,
    studio: StudioDep,
    source: Annotated[bytes | ImportForm, Depends(read_import)],
    idempotency_key: IdempotencyKey = None,
) -> JobAccepted:
    """JSON lines or CSV: good lines land, bad ones are named in the job's result."""
    if isinstance(source, ImportForm):
        job = await submit_job(
            studio, IMPORT_CATALOG, source, owner_id=user.id, idempotency_key=idempotency_key
        )
    else:
        job = await enqueue_import(studio, user.id, source, idempotency_key)
    return JobAccepted(job_id=job.id)
