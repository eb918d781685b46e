"""The scan on a device: chunk by chunk, many searches at once, and what a full device means."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.index import approximate, device_index
from models.index.build import IndexWriter
from models.index.device_index import DeviceIndex
from models.index.files import IndexFiles, open_files
from models.index.product_index import ProductIndex
from models.index.shapes import Filters, ProductAttributes, Scan, SearchQuery
from models.index.stats import SearchParameters

DIM, COUNT = 32, 2000
PARAMETERS = SearchParameters(1, 400, 1, 400)
CHUNK = 300


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approximate, "EXACT_ROWS", 1000)
    monkeypatch.setattr(device_index, "CHUNK_ROWS", CHUNK)
    monkeypatch.setattr(device_index, "APPENDED_ROWS", 64)


def unit_rows(count: int, seed: int) -> NDArray[np.float16]:
    vectors = np.random.default_rng(seed).normal(size=(count, DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float16)


def attributes(row: int) -> ProductAttributes:
    return ProductAttributes(("dress", "coat", "shirt")[row % 3], None, row, in_stock=True)


@pytest.fixture
def files(tmp_path: Path) -> IndexFiles:
    with IndexWriter(tmp_path) as writer:
        for row, vector in enumerate(unit_rows(COUNT, 0)):
            writer.add(f"p{row:05}", vector, attributes(row))
        writer.finish()
    return open_files(tmp_path)


def queries(count: int) -> list[SearchQuery]:
    """Searches of several lengths; a third of them has no filter, the others have one."""
    filters = (Filters(), Filters(category=frozenset({"coat"})), Filters(price_max_e4=1500))
    return [
        SearchQuery(5 + place % 7, image=vector.astype(np.float32), filters=filters[place % 3])
        for place, vector in enumerate(unit_rows(count, 1))
    ]


def change(index: ProductIndex) -> None:
    """Appends rows beyond several chunks, replaces some and removes some."""
    for row, vector in enumerate(unit_rows(800, 2)):
        index.put(f"n{row:05}", vector, attributes(row))
    for row in range(0, 700, 7):
        index.put(f"p{row:05}", unit_rows(1, row)[0], attributes(row))
        index.remove(f"n{row:05}")


def test_many_searches_at_once_are_the_same_as_one_by_one_and_as_exact_ones(
    files: IndexFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.index.product_index.TAIL_ROWS", 300)
    scanned = ProductIndex(files, parameters=PARAMETERS, device="cpu")
    exact = ProductIndex(replace(files, approximate=None))
    assert scanned.is_on_device and not exact.is_on_device
    for _ in range(2):
        together = scanned.search_many(queries(24))
        assert together == [scanned.search(query) for query in queries(24)]
        assert together == [exact.search(query) for query in queries(24)]
        change(scanned)
        change(exact)


def test_each_scan_has_its_own_depth_and_rows() -> None:
    vectors = unit_rows(1000, 3)
    index = DeviceIndex(vectors, "cpu")
    index.add(np.arange(2000, 2200), unit_rows(200, 4).astype(np.float32))
    rows = np.concatenate([np.arange(1000), np.arange(2000, 2200)])
    everything = np.concatenate([vectors, unit_rows(200, 4)]).astype(np.float32)
    even = np.packbits(np.arange(2200) % 2 == 0, bitorder="little")
    few = np.packbits(np.isin(np.arange(2200), (3, 999, 2001)), bitorder="little")
    scans = [
        Scan(query.astype(np.float32), depth, 1, bits)
        for query, depth, bits in zip(
            unit_rows(6, 5), (1, 10, 1200, 10, 50, 5000), (None, even, None, few, None, even),
            strict=True,
        )
    ]  # fmt: skip
    for scan, candidates in zip(scans, index.search_many(scans), strict=True):
        allowed = rows
        if scan.bits is not None:
            allowed = rows[(scan.bits[rows >> 3] >> (rows & 7)) & 1 == 1]
        assert len(candidates) == min(scan.depth, len(allowed))
        assert set(candidates) <= set(allowed)
        scores = everything[np.isin(rows, allowed)] @ scan.query
        own = everything[np.searchsorted(rows, candidates)] @ scan.query
        worst = np.sort(scores)[len(scores) - len(candidates)]
        assert own.min() >= worst - 2e-3  # scores are in half precision


def test_memory_is_that_of_the_rows_and_nothing_moves() -> None:
    index = DeviceIndex(unit_rows(1000, 3), "cpu")
    sizes = [len(chunk._rows) for chunk in index._chunks]
    assert sizes == [300, 300, 300, 100]
    places = [chunk._vectors.data_ptr() for chunk in index._chunks]
    for start in range(0, 150, 10):
        index.add(np.arange(start, start + 10), unit_rows(10, start).astype(np.float32))
    assert [len(chunk._rows) for chunk in index._chunks] == [*sizes, 64, 64, 64]
    assert [chunk._vectors.data_ptr() for chunk in index._chunks][:4] == places


class FullDevice:
    """Lets torch allocate `free` chunks, then raises as on a full device."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, free: int) -> None:
        self.free = free
        self._empty = torch.empty
        monkeypatch.setattr(torch, "empty", self.empty)

    def empty(self, *args: Any, **options: Any) -> torch.Tensor:
        if options.get("dtype") is torch.float16:
            self.free -= 1
        if self.free < 0:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self._empty(*args, **options)


def check_fallen_back(index: ProductIndex, files: IndexFiles) -> None:
    """FAISS answers, with all rows."""
    exact = ProductIndex(replace(files, approximate=None))
    if index.count > COUNT:
        change(exact)
    assert index.lacks_memory and not index.is_on_device
    assert index.count == exact.count
    own, true = ([one.search(query) for query in queries(24)] for one in (index, exact))
    shares = [len(set(a) & set(b)) / len(b) for a, b in zip(own, true, strict=True)]
    assert np.mean(shares) > 0.95


def test_an_index_that_does_not_fit_is_searched_by_the_cpu(
    files: IndexFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    FullDevice(monkeypatch, free=3)
    check_fallen_back(ProductIndex(files, parameters=PARAMETERS, device="cpu"), files)


def test_a_device_that_is_full_later_takes_no_row_with_it(
    files: IndexFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.index.product_index.TAIL_ROWS", 300)
    device = FullDevice(monkeypatch, free=9)  # the version takes seven
    index = ProductIndex(files, parameters=PARAMETERS, device="cpu")
    assert index.is_on_device
    change(index)
    assert device.free < 0
    check_fallen_back(index, files)


def test_a_search_that_does_not_fit_is_answered_by_the_cpu(
    files: IndexFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    index = ProductIndex(files, parameters=PARAMETERS, device="cpu")
    monkeypatch.setattr(device_index.Chunk, "best", fail)
    assert len(index.search_many(queries(3))) == 3
    check_fallen_back(index, files)
