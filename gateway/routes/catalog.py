"""Routes of the catalogue: products one by one, and many by import."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Header, Path, Request, Response
from pydantic import Field, ValidationError, model_validator

from db.catalog import get_product, list_products
from db.tables import Product
from errors import Invalid, Malformed, NotFound
from gateway.deps import CurrentUser, Merchant, Public, StudioDep
from gateway.paging import Cursor, PageDep
from gateway.wire import Page, Storable, WireRequest, WireResponse, require_one_of
from studio import catalog
from studio.catalog import Owner, ProductDraft
from studio.catalog_import import (
    Line,
    enqueue_import,
    import_dataset,
    read_lines,
    run_import,
)
from studio.ports import Studio


@asynccontextmanager
async def keep_imports(app: FastAPI) -> AsyncIterator[None]:
    """Imports run beside the requests and are waited for at the end."""
    app.state.imports = set()
    try:
        yield
    finally:
        await asyncio.gather(*app.state.imports, return_exceptions=True)


router = APIRouter(prefix="/api/catalog", tags=["catalog"], lifespan=keep_imports)

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._~:-]{0,127}$"
ProductId = Annotated[str, Path(pattern=ID_PATTERN)]
ShortText = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
Price = Annotated[Decimal, Field(ge=0, le=1_000_000_000, max_digits=14, decimal_places=4)]


class ProductFields(WireRequest):
    """A product as a merchant describes it, without its picture."""

    title: Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]
    description: Annotated[str, Field(max_length=10_000)] | None = None
    category: ShortText
    brand: ShortText | None = None
    price: Price
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    in_stock: bool = True
    attributes: Annotated[dict[str, Any], Field(max_length=100)] = {}


class ProductRequest(ProductFields):
    """The whole product; a PUT replaces all of it."""

    image_url: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    file_id: UUID | None = None

    @model_validator(mode="after")
    def require_one_picture(self) -> "ProductRequest":
        """Neither and both are mistakes."""
        require_one_of(self.image_url, self.file_id)
        return self

    def to_draft(self) -> ProductDraft:
        """Wire -> studio."""
        return ProductDraft(**{name: getattr(self, name) for name in type(self).model_fields})


class LineRequest(ProductRequest):
    """A line of an import; without an id the product gets a new one."""

    id: Annotated[str, Field(pattern=ID_PATTERN)] | None = None

    def to_draft(self) -> ProductDraft:
        """Wire -> studio."""
        fields = set(type(self).model_fields) - {"id"}
        return ProductDraft(**{name: getattr(self, name) for name in fields})


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


class ImportRequest(WireRequest):
    """An import from an uploaded dataset."""

    file_id: UUID


class JobAccepted(WireResponse):
    """Where to watch: GET /api/jobs/{jobId}."""

    job_id: UUID


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


def read_line(fields: dict[str, Any]) -> tuple[str | None, ProductDraft]:
    """A line of an import, by the same rules as a PUT.

    Raises:
        Invalid: which field is wrong, and why.
    """
    attributes = fields.get("attributes")
    if isinstance(attributes, str):
        try:
            fields = fields | {"attributes": json.loads(attributes)}
        except (json.JSONDecodeError, RecursionError):
            raise Invalid("attributes: not a JSON object") from None
    try:
        line = LineRequest.model_validate(fields)
    except ValidationError as error:
        problems = (
            f"{'.'.join(str(part) for part in one['loc']) or 'line'}: {one['msg']}"
            for one in error.errors(include_input=False, include_url=False)
        )
        raise Invalid("; ".join(problems)) from None
    return line.id, line.to_draft()


async def read_import(request: Request, user: Merchant, studio: StudioDep) -> bytes:
    """The file itself, from the body or from the dataset that `fileId` names."""
    body = await request.body()
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        return body
    try:
        wanted = ImportRequest.model_validate_json(body)
    except ValidationError:
        # One product as JSON is a file of one line; `fileId` alone names a dataset.
        if b'"title"' in body:
            return body
        raise Malformed('the body must be JSON lines, CSV or {"fileId": …}') from None
    return await import_dataset(studio, owner_of(user), wanted.file_id)


@router.post("/import", status_code=202)
async def import_products(
    request: Request,
    user: Merchant,
    studio: StudioDep,
    data: Annotated[bytes, Depends(read_import)],
    idempotency_key: Annotated[Storable | None, Header(min_length=1, max_length=255)] = None,
) -> JobAccepted:
    """JSON lines or CSV: good lines land, bad ones are named in the job's result."""
    lines: list[Line] = await asyncio.to_thread(read_lines, data)
    owner = owner_of(user)
    job, is_new = await enqueue_import(studio, owner, data, idempotency_key)
    if is_new:
        task = asyncio.create_task(run_import(studio, owner, job.id, lines, read_line))
        request.app.state.imports.add(task)
        task.add_done_callback(request.app.state.imports.discard)
    return JobAccepted(job_id=job.id)
