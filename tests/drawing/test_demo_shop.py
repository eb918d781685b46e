"""The demo shop's products have numbers of their own, and are the colours of garments."""

from collections import defaultdict

from drawing.demo_shop import DemoProduct, demo_products

COUNT = 648


def test_a_group_is_one_brands_garment_in_several_colours() -> None:
    groups: dict[str, list[DemoProduct]] = defaultdict(list)
    for product in demo_products(COUNT):
        groups[product.group_id].append(product)
    for name, members in groups.items():
        kinds = {(one.brand, one.garment.category, one.garment.pattern) for one in members}
        colours = {one.garment.colour for one in members}
        assert len(kinds) == 1 and len(colours) == len(members), name
        assert name.isascii() and name == name.strip() and " " not in name
    assert sum(len(members) > 1 for members in groups.values()) > 100
    assert "cinder-lane" in {name.split("-jacket")[0] for name in groups}


def test_numbers_are_unique() -> None:
    numbers = [product.sku for product in demo_products(COUNT)]
    assert len(set(numbers)) == COUNT and numbers[0] == "TSH-1000"
