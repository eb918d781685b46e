"""Which of the catalogue's values a word names, and which may narrow a search."""

from dataclasses import replace

from models.index.catalogue_values import CatalogueValues
from studio.search.understanding.catalogue import garments_of, read_catalogue
from tests.studio.search.understanding.shops import big_vocabulary


def test_categories_are_read_in_all_languages_and_as_paths() -> None:
    assert garments_of("Women > Dresses > Maxi") == {"dress"}
    assert garments_of("Tops & T-Shirts") == {"top", "t-shirt"}
    assert garments_of("Kleider") == {"dress"}
    assert garments_of("Robes de chambre") == {"bathrobe"}
    assert garments_of("Dress shoes") == {"shoes"}
    assert garments_of("New in") == set()


def test_a_wider_kind_has_the_categories_of_narrower_ones() -> None:
    catalogue = read_catalogue(CatalogueValues(2, {"Sneakers": 1, "Boots": 1}))
    shoes = catalogue.looks["garment", "shoes"]
    assert shoes.values == {("", "Sneakers"), ("", "Boots")} and shoes.is_filter
    assert catalogue.looks["garment", "boots"].values == {("", "Boots")}


def test_a_narrow_kind_that_is_no_category_is_in_that_of_the_wider_one() -> None:
    catalogue = read_catalogue(CatalogueValues(1, {"Shoes": 1}))
    assert catalogue.looks["garment", "sneakers"].values == {("", "Shoes")}


def test_a_look_narrows_only_where_most_products_say_what_theirs_is() -> None:
    values = big_vocabulary()
    assert read_catalogue(values).looks["colour", "red"].is_filter
    few = replace(values, carriers={**values.carriers, "colour": 600})
    assert not read_catalogue(few).looks["colour", "red"].is_filter


def test_values_that_mean_the_same_are_named_by_one_word() -> None:
    values = CatalogueValues(3, facts={"Farbe": {"Schwarz": 1, "noir": 1, "jet black": 1}})
    black = read_catalogue(values).looks["colour", "black"]
    assert {value for _, value in black.values} == {"Schwarz", "noir", "jet black"}


def test_a_brand_that_is_an_ordinary_word_is_not_read() -> None:
    catalogue = read_catalogue(big_vocabulary())
    assert ("next",) not in catalogue.phrases and ("only",) not in catalogue.phrases
    assert catalogue.phrases["levis",].field == "brand"
    assert not catalogue.phrases["off", "white"].is_filter  # also a colour of the catalogue


def test_an_empty_catalogue_names_nothing() -> None:
    assert read_catalogue(CatalogueValues()).looks == {}
