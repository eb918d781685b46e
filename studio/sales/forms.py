"""The request bodies of sales scores and evaluations."""

import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import Field, model_validator

from studio.forms import Form, PictureUrl

MOST_OBSERVATIONS = 2000
"""The maximum number of sales rows in one evaluation."""

Word = Annotated[str, Field(min_length=1, max_length=200)]
Price = Annotated[Decimal, Field(gt=0, le=1_000_000_000, max_digits=30)]


def as_float(price: Decimal | None) -> float | None:
    """The price as a float, which the regressor expects."""
    return None if price is None else float(price)


class PictureForm(Form):
    """A picture, identified by exactly one of three fields."""

    image_url: PictureUrl | None = None
    file_id: UUID | None = None
    product_id: Word | None = None

    @model_validator(mode="after")
    def require_one_name(self) -> "PictureForm":
        """Refuses a body with none or several of the three fields."""
        names = [name for name in (self.image_url, self.file_id, self.product_id) if name]
        if len(names) != 1:
            raise ValueError("give exactly one of imageUrl, fileId and productId")
        return self


class PredictForm(PictureForm):
    """A picture to score, as if it were offered today."""

    category: Word | None = None
    price: Price | None = None
    brand: Word | None = None
    heatmap: Annotated[bool, Field(strict=True)] = False


class ObservationForm(PictureForm):
    """One observed sales row."""

    units: Annotated[float, Field(ge=0, le=1_000_000_000)]
    date: datetime.date | None = None
    price: Price | None = None
    category: Word | None = None
    brand: Word | None = None


class EvaluationForm(Form):
    """Observed sales, in the body or as an uploaded CSV."""

    observations: (
        Annotated[
            list[ObservationForm],
            Field(min_length=1, max_length=MOST_OBSERVATIONS, fail_fast=True),
        ]
        | None
    ) = None
    file_id: UUID | None = None

    @model_validator(mode="after")
    def require_one_source(self) -> "EvaluationForm":
        """Refuses a body with both observations and fileId, or with neither of them."""
        if (self.observations is None) == (self.file_id is None):
            raise ValueError("give either observations or fileId")
        return self
