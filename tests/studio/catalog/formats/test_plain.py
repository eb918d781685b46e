"""A shop's own CSV: names of columns, prices, pictures, attributes."""

import pytest

from errors import Invalid
from studio.catalog.formats.plain import COLUMNS, FIELD_OF, picture_fields
from studio.catalog.formats.records import Record
from tests.studio.catalog.formats.test_source import PICTURE, read


def one(header: str, row: str, *, currency: str | None = None) -> Record:
    (record,) = read(f"{header}\n{row}\n".encode(), currency=currency)
    return record


def test_no_word_means_two_fields() -> None:
    assert len(FIELD_OF) == sum(len(keys.split()) for keys in COLUMNS.values())


def test_columns_by_the_words_of_spreadsheets() -> None:
    header = "Artikelnummer;Titel;Preis;Währung;Kategorie;Marke;Lagerbestand;Bild;Farbe;Passform"
    record = one(header, f"A 1;Hemd;1.049,95;EUR;Hemden;Acme;0;{PICTURE};blau;slim")
    assert record.fields == {
        "id": "A 1", "title": "Hemd", "category": "Hemden", "brand": "Acme", "price": "1049.95",
        "currency": "EUR", "inStock": False, "imageUrl": PICTURE,
        "attributes": {"colour": "blau", "passform": "slim"},
    }  # fmt: skip
    assert record.ignored == frozenset()


def test_a_column_may_name_its_currency() -> None:
    record = one('id,title,"price\n(EUR)"', "D-1,Tee,9.99")
    assert record.fields == {"id": "D-1", "title": "Tee", "price": "9.99", "currency": "EUR"}


def test_a_sale_price_is_the_price() -> None:
    header = "id,price,sale price,currency"
    assert one(header, "a,29,19,USD").fields == {
        "id": "a", "price": "19", "listPrice": "29", "currency": "USD"
    }  # fmt: skip
    assert one(header, "a,29,,USD").fields == {"id": "a", "price": "29", "currency": "USD"}
    assert one("id,price,list price", "a,29,30", currency="EUR").fields == {
        "id": "a", "price": "29", "listPrice": "30", "currency": "EUR"
    }  # fmt: skip
    assert "different currencies" in str(one(header, "a,29 EUR,19 USD,USD").error)


def test_attributes_from_their_columns_and_from_json() -> None:
    header = "id,attributes,attributes.fit,color"
    record = one(header, 'a,"{""care"": ""wash""}",slim,red')
    assert record.fields == {
        "id": "a", "attributes": {"care": "wash", "fit": "slim", "colour": "red"}
    }  # fmt: skip
    assert "attributes: not a JSON object" in str(one(header, "a,[1],,").error)


def test_several_pictures_are_named_in_two_columns() -> None:
    record = one("id,imageUrl,images", f'a,{PICTURE},"{PICTURE}?2, {PICTURE}?3"')
    assert (record.fields or {})["images"] == [
        {"imageUrl": f"{PICTURE}{end}"} for end in ("", "?2", "?3")
    ]
    array = one("id,images", f'a,"[{{""imageUrl"": ""{PICTURE}""}}]"').fields or {}
    assert array == {"id": "a", "images": f'[{{"imageUrl": "{PICTURE}"}}]'}
    fields, ignored = picture_fields([PICTURE] * 9)
    assert len(fields["images"]) == 8 and ignored == {"pictures after the first 8"}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a,maybe,1,EUR", "inStock: 'maybe' is neither"),
        ("a,yes,free,EUR", "price: 'free' is not a price"),
        ("a,yes,1,", "currency: the file names none"),
    ],
)
def test_a_bad_value_is_an_error_of_its_line(row: str, said: str) -> None:
    record = one("id,stock,price,currency", row)
    assert said in str(record.error) and record.product_id == "a"


def test_two_columns_for_one_field_are_refused() -> None:
    with pytest.raises(Invalid, match="the columns title and name both mean title"):
        one("id,title,name", "a,b,c")


def test_other_texts_stay_as_they_are() -> None:
    assert one("id,fileId,description", "a,f,  two words ").fields == {
        "id": "a", "fileId": "f", "description": "  two words "
    }  # fmt: skip
