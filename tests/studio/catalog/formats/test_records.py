"""Raw records are parsed only when they are needed, and keep their ids in errors."""

from errors import Invalid
from studio.catalog.formats.records import RawRecord, Record


def test_a_record_keeps_its_number_and_id() -> None:
    assert RawRecord(7, lambda: Record(0, {"id": "a"})).parse() == Record(
        7, {"id": "a"}, product_id="a"
    )
    assert RawRecord(7, lambda: Record(0, {}), None, "b").parse().product_id == "b"
    assert RawRecord(7, error="bad", product_id="c").parse() == Record(
        7, error="bad", product_id="c"
    )


def test_an_error_is_part_of_the_record() -> None:
    def fail() -> Record:
        raise Invalid("price: bad")

    assert RawRecord(3, fail, None, "d").parse() == Record(3, error="price: bad", product_id="d")
