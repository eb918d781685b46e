"""One product of an import file, before the rules of the catalogue are applied to it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from errors import Invalid

Values = dict[str, list[str]]
"""The values of an item by column or element; only texts that are not blank."""


@dataclass(frozen=True)
class Record:
    """A product of a file.

    Attributes:
        number: the line where it starts, from 1.
        fields: the fields of `LineForm` by their names on the wire; None if there are none.
        error: why the record can't be read.
        reason: why the record is left out although it is valid, as a draft is.
        ignored: columns whose values have no place in the catalogue.
        product_id: the id of the product, also where the rest can't be read; None if unknown.
    """

    number: int
    fields: dict[str, Any] | None = None
    error: str | None = None
    reason: str | None = None
    ignored: frozenset[str] = frozenset()
    product_id: str | None = None


@dataclass(frozen=True)
class RawRecord:
    """A record before parsing: a call that returns it, or an error.

    Counting the records of a file needs only this, which is much cheaper.
    """

    number: int
    read: Callable[[], Record] | None = None
    error: str | None = None
    product_id: str | None = None

    def parse(self) -> Record:
        """Reads the record; what can't be read is its error."""
        if self.read is None:
            return Record(self.number, error=self.error, product_id=self.product_id)
        try:
            record = self.read()
        except Invalid as error:
            return Record(self.number, error=error.detail, product_id=self.product_id)
        own = (record.fields or {}).get("id")
        product_id = own if isinstance(own, str) else self.product_id
        return replace(record, number=self.number, product_id=product_id)


RawRecords = Iterator[RawRecord]
