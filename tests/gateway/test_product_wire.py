"""One form of a product for searches and the catalogue."""

from gateway.product_wire import ProductResponse, ProductSummary
from gateway.routes.search import ResultResponse
from tests.studio.catalog.test_form import stored


def test_a_result_and_a_product_share_their_form() -> None:
    assert issubclass(ResultResponse, ProductSummary)
    assert issubclass(ProductResponse, ProductSummary)
    summary = ProductSummary.of_product(stored(), image="u").model_dump(by_alias=True)
    assert summary == {
        "id": "p-1", "title": "Coat", "image": "u", "category": "coat", "price": "20.00",
        "listPrice": "30.00", "currency": "EUR", "brand": "North", "inStock": True,
        "groupId": "coats",
    }  # fmt: skip
    plain = ProductSummary.of_product(stored(list_price=None, currency="JPY"), image="u")
    assert (plain.price, plain.list_price) == ("20", None)
