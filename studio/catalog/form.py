"""A product as a merchant describes it: the same rules for a PUT and for a line of an import."""

import json
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, ValidationError, model_validator

from errors import Invalid
from studio.catalog.attributes import Attributes
from studio.forms import PRODUCT_ID_PATTERN, Form, PictureUrl, require_one_of

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

    image_url: PictureUrl | None = None
    file_id: UUID | None = None

    @model_validator(mode="after")
    def require_one_picture(self) -> "ProductForm":
        """Checks that the form names exactly one picture.

        Raises:
            ValueError: both names of the picture are given, or neither.
        """
        require_one_of(self.image_url, self.file_id)
        return self

    def to_columns(self) -> dict[str, Any]:
        """The values of the product's row, by column."""
        return {name: getattr(self, name) for name in ProductForm.model_fields}


class LineForm(ProductForm):
    """A line of an import; a product without an id gets a new one."""

    id: Annotated[str, Field(pattern=PRODUCT_ID_PATTERN)] | None = None


def read_line(fields: dict[str, Any]) -> LineForm:
    """Validates a line of an import by the rules of a PUT.

    Raises:
        Invalid: a field is wrong; the message names it and says why.
    """
    attributes = fields.get("attributes")
    if isinstance(attributes, str):
        try:
            fields = fields | {"attributes": json.loads(attributes)}
        except (ValueError, RecursionError):
            raise Invalid("attributes: not a JSON object") from None
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
