"""The exact index against brute force: order, ties, filters, changes, and its files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from errors import Invalid
from models.index.build import IndexWriter
from models.index.files import IndexFiles, empty_files, find_damage, manifest_of, open_files
from models.index.product_index import ProductIndex
from models.index.quality import ground_truth
from models.index.shapes import NO_FILTERS, Filters, Hit, ProductAttributes, SearchQuery
from models.index.stats import ScoreStats

DIM = 12
Products = dict[str, tuple[NDArray[np.float16], ProductAttributes]]


def unit(random: np.random.Generator) -> NDArray[np.float16]:
    vector = random.normal(size=DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float16)


def catalogue(count: int, seed: int, copies: int = 1) -> Products:
    """Products; each vector is shared by `copies` of them."""
    random = np.random.default_rng(seed)
    vectors = [unit(random) for _ in range(max(1, count // copies))]
    return {
        f"p{place:05}": (
            vectors[place % len(vectors)],
            ProductAttributes(
                category=("Dress", "shirt", "BAG")[place % 3],
                brand=None if place % 5 == 0 else f"Brand {place % 4}",
                price_e4=place * 5000,
                in_stock=place % 4 != 0,
            ),
        )
        for place in range(count)
    }


def filled(products: Products) -> ProductIndex:
    index = ProductIndex(empty_files(DIM))
    for product_id, (vector, attributes) in products.items():
        index.put(product_id, vector, attributes)
    return index


def written(products: Products, folder: Path) -> IndexFiles:
    """Writes products as a version and opens its files."""
    folder.mkdir()
    with IndexWriter(folder) as writer:
        for product_id in sorted(products):
            writer.add(product_id, *products[product_id])
        writer.finish()
    return open_files(folder)


def passes(attributes: ProductAttributes, filters: Filters) -> bool:
    folded = {word.casefold() for word in filters.category}
    brands = {word.casefold() for word in filters.brand}
    price_e4 = attributes.price_e4
    return (
        (not folded or attributes.category.casefold() in folded)
        and (not brands or (attributes.brand or "").casefold() in brands)
        and (filters.price_min_e4 is None or price_e4 >= filters.price_min_e4)
        and (filters.price_max_e4 is None or price_e4 <= filters.price_max_e4)
        and (filters.in_stock is None or attributes.in_stock == filters.in_stock)
    )


def brute_force(
    products: Products,
    query: NDArray[np.float32],
    k: int,
    filters: Filters = NO_FILTERS,
    exclude: frozenset[str] = frozenset(),
) -> list[str]:
    scored = sorted(
        (-round(float(vector.astype(np.float64) @ query.astype(np.float64)), 6), product_id)
        for product_id, (vector, attributes) in products.items()
        if passes(attributes, filters) and product_id not in exclude
    )
    return [product_id for _, product_id in scored[:k]]


any_filters = st.builds(
    Filters,
    category=st.sampled_from([frozenset[str](), frozenset({"dRESS"}), frozenset({"bag", "x"})]),
    brand=st.sampled_from([frozenset[str](), frozenset({"brand 1", "BRAND 2"})]),
    price_min_e4=st.sampled_from([None, 100_000, 999_999]),
    price_max_e4=st.sampled_from([None, 500_000, 0]),
    in_stock=st.sampled_from([None, True, False]),
)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 400), seed=st.integers(0, 9), k=st.integers(1, 200),
    copies=st.sampled_from([1, 7, 400]), filters=any_filters,
    exclude=st.sampled_from([frozenset[str](), frozenset({"p00001", "nobody"})]),
)  # fmt: skip
def test_search_equals_brute_force(
    count: int, seed: int, k: int, copies: int, filters: Filters, exclude: frozenset[str]
) -> None:
    products = catalogue(count, seed, copies)
    query = unit(np.random.default_rng(seed + 100)).astype(np.float32)
    search = SearchQuery(k, image=query, filters=filters, exclude=exclude)
    ids = [product_id for product_id, _ in filled(products).search(search)]
    assert ids == brute_force(products, query, k, filters, exclude)


def test_changes_are_seen_at_once_and_survive_compaction() -> None:
    products = catalogue(3000, 1)
    index = filled(products)
    random = np.random.default_rng(5)
    for product_id in list(products)[::2]:
        index.remove(product_id)
        del products[product_id]
    for product_id in list(products)[::3]:
        products[product_id] = (unit(random), products[product_id][1])
        index.put(product_id, *products[product_id])
    assert index.count == len(products)
    for seed in range(20):
        query = unit(np.random.default_rng(seed)).astype(np.float32)
        ids = [product_id for product_id, _ in index.search(SearchQuery(50, image=query))]
        assert ids == brute_force(products, query, 50)


def test_a_product_that_only_changed_its_price_is_filtered_by_the_new_one() -> None:
    products = catalogue(10, 2)
    index = filled(products)
    vector, old = products["p00003"]
    index.put("p00003", vector, ProductAttributes(old.category, old.brand, 990_000, True))
    query = vector.astype(np.float32)
    from_99 = SearchQuery(1, image=query, filters=Filters(price_min_e4=990_000))
    assert index.search(from_99)[0][0] == "p00003"
    assert index.count == 10


def test_a_price_bound_is_exact() -> None:
    index = ProductIndex(empty_files(DIM))
    vector = unit(np.random.default_rng(0))
    index.put("a", vector, ProductAttributes("x", None, 199_900, True))

    def search(filters: Filters) -> list[Hit]:
        return index.search(SearchQuery(1, image=vector.astype(np.float32), filters=filters))

    assert search(Filters(price_max_e4=199_900, price_min_e4=199_900))
    assert not search(Filters(price_max_e4=199_899))
    assert not search(Filters(price_min_e4=199_901))


def test_an_index_read_back_from_its_files_answers_the_same(tmp_path: Path) -> None:
    products = catalogue(500, 3)
    for product_id in ("p00004", "p00100"):
        del products[product_id]
    index, again = filled(products), ProductIndex(written(products, tmp_path / "v"))
    written(products, tmp_path / "w")
    assert manifest_of(tmp_path / "v") == manifest_of(tmp_path / "w")
    assert again.count == 498
    for seed in range(10):
        query = unit(np.random.default_rng(seed)).astype(np.float32)
        filters = Filters(category=frozenset({"shirt"}), in_stock=True)
        search = SearchQuery(20, image=query, filters=filters)
        assert again.search(search) == index.search(search)
    before = manifest_of(tmp_path / "v")
    again.put("p00005", products["p00005"][0], ProductAttributes("new", None, 1, True))
    again.remove("p00006")
    assert manifest_of(tmp_path / "v") == before


def test_files_without_products(tmp_path: Path) -> None:
    index = ProductIndex(written({}, tmp_path / "v"))
    assert index.count == 0
    assert index.search(SearchQuery(5, image=np.ones(1, np.float32))) == []


def test_products_out_of_order_or_of_another_length_are_refused(tmp_path: Path) -> None:
    products = catalogue(2, 3)
    with IndexWriter(tmp_path) as writer:
        writer.add("b", *products["p00000"])
        with pytest.raises(ValueError, match="ascending"):
            writer.add("a", *products["p00001"])
        with pytest.raises(Invalid, match="12 numbers"):
            writer.add("c", np.zeros(3, np.float16), products["p00001"][1])


def test_ids_are_found_by_their_text(tmp_path: Path) -> None:
    names = ["", "a", "a ", "aa", "b", "é", "日本", "😀"]
    products = dict(zip(names, catalogue(len(names), 1).values(), strict=True))
    ids = written(products, tmp_path / "v").ids
    assert [ids[row] for row in range(len(ids))] == sorted(names)
    assert [ids.find(name) for name in sorted(names)] == list(range(len(names)))
    assert ids.find("ab") is None and ids.find("zzz") is None and ids.find("😁") is None


def test_one_flipped_bit_in_any_file_is_found(tmp_path: Path) -> None:
    written(catalogue(50, 4), tmp_path / "v")
    manifest = manifest_of(tmp_path / "v")
    assert find_damage(tmp_path / "v", manifest) == []
    for name in manifest:
        path = tmp_path / "v" / name
        whole = path.read_bytes()
        changed = bytearray(whole)
        changed[len(changed) // 2] ^= 1
        path.write_bytes(changed)
        assert find_damage(tmp_path / "v", manifest) == [name]
        path.unlink()
        assert find_damage(tmp_path / "v", manifest) == [name]
        path.write_bytes(whole)


def test_alpha_blends_standardised_similarities(tmp_path: Path) -> None:
    products = catalogue(300, 6)
    stats = ScoreStats(image_mean=0.3, image_std=0.2, text_mean=-0.1, text_std=0.05)
    index = ProductIndex(written(products, tmp_path / "v"), stats)
    image = unit(np.random.default_rng(20)).astype(np.float32)
    text = unit(np.random.default_rng(21)).astype(np.float32)
    expected = sorted(
        (
            -round(
                0.3 * (float(v.astype(np.float64) @ image) - 0.3) / 0.2
                + 0.7 * (float(v.astype(np.float64) @ text) + 0.1) / 0.05,
                4,
            ),
            product_id,
        )
        for product_id, (v, _) in products.items()
    )[:10]
    both = SearchQuery(10, image=image, text=text, alpha=0.3)
    hits = index.search(both)
    assert [product_id for product_id, _ in hits] == [product_id for _, product_id in expected]
    assert hits[0][1] == pytest.approx(-expected[0][0], abs=1e-3)
    by_image, by_text = replace(both, text=None), replace(both, image=None)
    assert index.search(replace(both, alpha=1.0)) == index.search(by_image)
    assert index.search(replace(both, alpha=0.0)) == index.search(by_text)


def test_a_vector_of_another_length_is_refused() -> None:
    index = filled(catalogue(3, 8))
    with pytest.raises(Invalid, match="12 numbers"):
        index.put("x", np.zeros(DIM + 1, np.float16), ProductAttributes("a", None, 0, True))


def test_the_ground_truth_has_the_tenth_best_score_the_mean_and_the_deviation() -> None:
    random = np.random.default_rng(9)
    vectors = np.stack([unit(random) for _ in range(9000)])
    queries = np.stack([unit(random).astype(np.float32) for _ in range(30)])
    similarities = queries @ vectors.astype(np.float32).T
    truth = ground_truth(vectors, queries)
    assert truth.mean == pytest.approx(float(similarities.mean()), abs=1e-5)
    assert truth.std == pytest.approx(float(similarities.std()), abs=1e-5)
    np.testing.assert_allclose(truth.kth, np.sort(similarities, axis=1)[:, -10], atol=1e-6)
    empty = ground_truth(vectors[:0], queries[:0])
    assert (empty.mean, empty.std) == (0.0, 1.0)
