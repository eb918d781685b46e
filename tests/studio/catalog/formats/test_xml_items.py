"""Items of XML feeds, and what a feed must not do."""

import io

import pytest

from studio.catalog.formats import xml_items
from studio.catalog.formats.xml_items import MAX_ITEM_CHARS, XmlItem, read_xml_items

BOMB = b"""<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>
<r><item><title>&b;</title></item></r>"""


def items_of(data: bytes) -> list[XmlItem]:
    return list(read_xml_items(io.BytesIO(data)))


def test_elements_of_items_by_local_name() -> None:
    (item,) = items_of(
        b"<feed xmlns='http://www.w3.org/2005/Atom' xmlns:g='urn:g'><title>Shop</title>\n"
        b"<entry><g:id>1</g:id><title><![CDATA[a <b> & c]]></title><link href='https://x'/>"
        b"<g:additional_image_link>u</g:additional_image_link><g:empty> </g:empty>"
        b"<g:additional_image_link>v</g:additional_image_link>"
        b"<g:shipping><g:price>5</g:price></g:shipping></entry></feed>"
    )
    assert item.number == 2 and item.error is None
    assert item.values == {
        "id": ["1"], "title": ["a <b> & c"], "link": ["https://x"],
        "additional_image_link": ["u", "v"], "shipping": ["5"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (BOMB, "document type"),
        (b"<r><item><id>1</id></item><item>", "not XML"),
        (b"<r><item><id>1</id></item></x>", "not XML"),
        (b"<a>" * 30, "nested more than 20 levels"),
    ],
)
def test_what_can_not_be_parsed_ends_the_file(data: bytes, said: str) -> None:
    *good, last = items_of(data)
    assert all(item.values == {"id": ["1"]} for item in good)
    assert said in str(last.error) and "what follows was not read" in str(last.error)


def test_an_item_that_is_too_long_is_an_error_of_its_own() -> None:
    long = b"<item><t>" + b"x" * (MAX_ITEM_CHARS + 1) + b"</t></item>"
    first, second = items_of(b"<r>" + long + b"<item><id>2</id></item></r>")
    assert first.error == "longer than 1,000,000 characters" and second.values == {"id": ["2"]}


def test_items_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_items, "MAX_ITEMS", 2)
    *_, last = items_of(b"<r>" + b"<item><id>1</id></item>" * 3 + b"</r>")
    assert "more than 2 items" in str(last.error)
