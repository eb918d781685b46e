"""A product as a merchant describes it, one by one or as a line of an import: the same rules."""

import json
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, ValidationError, model_validator

from errors import Invalid
from studio.catalog.attributes import Attributes
from studio.catalog.catalog import ProductDraft
from studio.forms import Form, require_one_of

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._~:-]{0,127}$"
ShortText = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
Price = Annotated[Decimal, Field(ge=0, le=1_000_000_000, max_digits=14, decimal_places=4)]
MAX_PROBLEMS, MAX_PROBLEM_CHARS, MAX_PART_CHARS = 5, 200, 40


class ProductFields(Form):
    """A product as a merchant describes it, without its picture."""

    title: Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]
    description: Annotated[str, Field(max_length=10_000)] | None = None
    category: ShortText
    brand: ShortText | None = None
    price: Price
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    in_stock: bool = True
    attributes: Attributes = {}


class ProductForm(ProductFields):
    """The whole product; a PUT replaces all of it."""

    image_url: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    file_id: UUID | None = None

    @model_validator(mode="after")
    def require_one_picture(self) -> "ProductForm":
        """Neither and both are mistakes."""
        require_one_of(self.image_url, self.file_id)
        return self

    def to_draft(self) -> ProductDraft:
        """What the studio writes."""
        return ProductDraft(**{name: getattr(self, name) for name in type(self).model_fields})


class LineForm(ProductForm):
    """A line of an import; without an id the product gets a new one."""

    id: Annotated[str, Field(pattern=ID_PATTERN)] | None = None

    def to_draft(self) -> ProductDraft:
        """What the studio writes."""
        fields = set(type(self).model_fields) - {"id"}
        return ProductDraft(**{name: getattr(self, name) for name in fields})


def read_line(fields: dict[str, Any]) -> tuple[str | None, ProductDraft]:
    """A line of an import, by the same rules as a PUT.

    Raises:
        Invalid: which field is wrong, and why.
    """
    attributes = fields.get("attributes")
    if isinstance(attributes, str):
        try:
            fields = fields | {"attributes": json.loads(attributes)}
        except (ValueError, RecursionError):
            raise Invalid("attributes: not a JSON object") from None
    try:
        line = LineForm.model_validate(fields)
    except ValidationError as error:
        raise Invalid(describe(error)) from None
    return line.id, line.to_draft()


def describe(error: ValidationError) -> str:
    """The first few problems of a line; what the caller wrote is repeated only in part."""
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    details = [
        f"{'.'.join(str(part)[:MAX_PART_CHARS] for part in one['loc']) or 'line'}: "
        f"{one['msg'][:MAX_PROBLEM_CHARS]}"
        for one in problems[:MAX_PROBLEMS]
    ]
    if more := problems[MAX_PROBLEMS:]:
        details.append(f"and {len(more):,} more")
    return "; ".join(details)
