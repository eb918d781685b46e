"""A product as a merchant describes it: the same rules for a PUT and for a line of an import."""

import json
from decimal import Decimal
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import ConfigDict, Field, ValidationError, model_validator

from db.tables import Product
from errors import Invalid
from studio.catalog.attributes import AttributeChanges, Attributes, merge_attributes
from studio.forms import Form, PictureUrl, ProductId, WebAddress, require_one_of

MAX_IMAGES = 8
Title = Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]
Description = Annotated[str, Field(max_length=10_000)]
ShortText = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
Price = Annotated[Decimal, Field(ge=0, le=1_000_000_000, max_digits=14, decimal_places=4)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
MAX_PROBLEMS, MAX_PROBLEM_CHARS, MAX_PART_CHARS = 5, 200, 40


class PictureForm(Form):
    """A picture, named by exactly one of its two names."""

    image_url: PictureUrl | None = None
    file_id: UUID | None = None

    @model_validator(mode="after")
    def require_one_name(self) -> Self:
        """Checks that there is exactly one name.

        Raises:
            ValueError: both names are given, or neither.
        """
        require_one_of(self.image_url, self.file_id)
        return self


def one_picture(image_url: str | None, file_id: UUID | None) -> PictureForm:
    """The picture with this name."""
    return PictureForm.model_validate({"imageUrl": image_url, "fileId": file_id})


Pictures = Annotated[list[PictureForm], Field(min_length=1, max_length=MAX_IMAGES)]


class ProductFields(Form):
    """A product as a merchant describes it, without its pictures."""

    title: Title
    description: Description | None = None
    category: ShortText
    brand: ShortText | None = None
    sku: ShortText | None = None
    group_id: ShortText | None = None
    url: WebAddress | None = None
    price: Price
    list_price: Price | None = None
    currency: Currency
    in_stock: bool = True
    attributes: Attributes = {}

    @model_validator(mode="after")
    def require_a_sale(self) -> Self:
        """Checks that a list price, which marks a sale, is above the price.

        Raises:
            ValueError: it is not.
        """
        if self.list_price is not None and self.list_price <= self.price:
            raise ValueError("listPrice, the price before the sale, must be above price")
        return self

    def to_columns(self) -> dict[str, Any]:
        """The values of the product's row, by column."""
        return {name: getattr(self, name) for name in ProductFields.model_fields}


class ProductForm(ProductFields):
    """The whole product; a PUT replaces all of it."""

    image_url: PictureUrl | None = None
    file_id: UUID | None = None
    images: Pictures | None = None

    @model_validator(mode="after")
    def require_pictures(self) -> Self:
        """Checks that the form names its pictures in exactly one way.

        Raises:
            ValueError: no picture is named, or two of the three fields name some.
        """
        require_one_way(self.image_url, self.file_id, self.images)
        return self

    @property
    def pictures(self) -> list[PictureForm]:
        """The pictures, the first one first."""
        return self.images or [one_picture(self.image_url, self.file_id)]


def require_one_way(*names: object) -> None:
    """Checks that exactly one of `imageUrl`, `fileId` and `images` is given.

    Raises:
        ValueError: none is given, or more than one.
    """
    if sum(name is not None for name in names) != 1:
        raise ValueError("give either imageUrl or fileId, or images for several pictures")


class LineForm(ProductForm):
    """A line of an import; a product without an id gets a new one."""

    id: ProductId | None = None


def unnamed() -> Any:
    """A field that a PATCH may leave out, and that can't be null."""
    return Field(default_factory=lambda: None)


class ProductPatch(Form):
    """A change of a product, as a JSON merge patch (RFC 7396): only the fields that it names.

    Null clears an optional field. `attributes` is merged name by name, and pictures are replaced
    as a whole. A patch that changes nothing is allowed.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"price": "17.50", "listPrice": "25.00", "inStock": True}]}
    )

    title: Title = unnamed()
    description: Description | None = None
    category: ShortText = unnamed()
    brand: ShortText | None = None
    sku: ShortText | None = None
    group_id: ShortText | None = None
    url: WebAddress | None = None
    price: Price = unnamed()
    list_price: Price | None = None
    currency: Currency = unnamed()
    in_stock: bool = unnamed()
    attributes: AttributeChanges | None = None
    image_url: PictureUrl = unnamed()
    file_id: UUID = unnamed()
    images: Pictures = unnamed()

    @model_validator(mode="after")
    def require_pictures(self) -> Self:
        """Checks that pictures, if there are any, are named in exactly one way.

        Raises:
            ValueError: two of the three fields name some.
        """
        if self.pictures is not None:
            require_one_way(self.image_url, self.file_id, self.images)
        return self

    @property
    def pictures(self) -> list[PictureForm] | None:
        """The new pictures, the first one first; None: the product keeps its pictures."""
        if self.model_fields_set.isdisjoint({"image_url", "file_id", "images"}):
            return None
        return self.images or [one_picture(self.image_url, self.file_id)]

    def to_columns(self, product: Product) -> dict[str, Any]:
        """The new values of a product's row, by column.

        A list price ends with the sale: where only `price` is named, and rises to it or above.

        Raises:
            Invalid: `listPrice` is named and not above the price; there are too many attributes.
        """
        names = self.model_fields_set & ProductFields.model_fields.keys()
        values = {name: getattr(self, name) for name in names}
        if "attributes" in names:
            values["attributes"] = merge_attributes(product.attributes, self.attributes or {})
            if self.attributes is None:
                values["attributes"] = {}
        price = values.get("price", product.price)
        list_price = values.get("list_price", product.list_price)
        if list_price is not None and list_price <= price:
            if "list_price" in names:
                raise Invalid("listPrice, the price before the sale, must be above price")
            values["list_price"] = None
        return values


def read_line(fields: dict[str, Any]) -> LineForm:
    """Validates a line of an import by the rules of a PUT.

    Raises:
        Invalid: a field is wrong; the message names it and says why.
    """
    for name, kind in (("attributes", "object"), ("images", "array")):
        cell = fields.get(name)
        if isinstance(cell, str):
            try:
                fields = fields | {name: json.loads(cell)}
            except (ValueError, RecursionError):
                raise Invalid(f"{name}: not a JSON {kind}") from None
    try:
        return LineForm.model_validate(fields)
    except ValidationError as error:
        raise Invalid(describe(error)) from None


def describe(error: ValidationError) -> str:
    """The first few problems of a line, without the caller's values."""
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    details = [
        f"{'.'.join(str(part)[:MAX_PART_CHARS] for part in problem['loc']) or 'line'}: "
        f"{problem['msg'][:MAX_PROBLEM_CHARS]}"
        for problem in problems[:MAX_PROBLEMS]
    ]
    if more := problems[MAX_PROBLEMS:]:
        details.append(f"and {len(more):,} more")
    return "; ".join(details)
