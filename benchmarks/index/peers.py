"""The peers of `benchmarks.index.scale`: how each is built, configured and searched.

FAISS comes with the studio and pgvector with its embedded PostgreSQL. The others are for this
benchmark alone: `pip install --target FOLDER hnswlib usearch lancedb`, then `--peers FOLDER`.
"""

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Search = Callable[[NDArray[np.float32], Any], Sequence[int]]
EF = (16, 24, 32, 48, 64, 96, 128, 192, 256)
K = 10


@dataclass(frozen=True)
class Peer:
    """`search(query, setting)` gives ten rows; `settings` go from fast to thorough."""

    search: Search
    settings: Sequence[Any]
    bytes_per_vector: float
    is_own_process: bool = True


def flat(vectors: Vectors, _: Path) -> Peer:
    """Exact: every vector in float32."""
    index: Any = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return Peer(lambda query, _: index.search(query[None], K)[1][0], [0], vectors[0].nbytes)


def faiss_hnsw(vectors: Vectors, _: Path) -> Peer:
    """M 32, efConstruction 100, as the other graphs."""
    package: Any = faiss
    index = package.IndexHNSWFlat(vectors.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 100
    index.add(vectors)

    def search(query: NDArray[np.float32], ef: int) -> Sequence[int]:
        parameters = package.SearchParametersHNSW(efSearch=ef)
        rows: Sequence[int] = index.search(query[None], K, params=parameters)[1][0]
        return rows

    return Peer(search, EF, vectors[0].nbytes + 32 * 2 * 4 + 16)


def hnswlib(vectors: Vectors, _: Path) -> Peer:
    """The graph's first implementation, with FAISS's parameters."""
    package = import_module("hnswlib")
    index = package.Index(space="ip", dim=vectors.shape[1])
    index.init_index(max_elements=len(vectors), M=32, ef_construction=100)
    index.set_num_threads(1)
    index.add_items(vectors, num_threads=1)

    def search(query: NDArray[np.float32], ef: int) -> Sequence[int]:
        index.set_ef(ef)
        rows: Sequence[int] = index.knn_query(query[None], k=K, num_threads=1)[0][0]
        return rows

    return Peer(search, EF, index.index_file_size() / len(vectors))


def usearch_of(kind: str) -> Callable[[Vectors, Path], Peer]:
    """USearch over float32, or over its 8-bit integers, its fastest form, with rescoring."""

    def build(vectors: Vectors, _: Path) -> Peer:
        index = import_module("usearch.index").Index(
            ndim=vectors.shape[1], metric="ip", dtype=kind, connectivity=32, expansion_add=100
        )
        index.add(np.arange(len(vectors)), vectors, threads=1)

        def search(query: NDArray[np.float32], ef: int) -> Sequence[int]:
            index.expansion_search = ef
            count = K if kind == "f32" else 2 * K
            rows = index.search(query, count, threads=1).keys.astype(np.int64)
            if kind == "f32":
                return list(rows)
            return list(rows[np.argsort(-(vectors[rows] @ query))[:K]])

        return Peer(search, EF, index.memory_usage / len(vectors))

    return build


def lancedb(vectors: Vectors, folder: Path) -> Peer:
    """Product quantisation in lists of the usual number, refined from the vectors."""
    package, pyarrow = import_module("lancedb"), import_module("pyarrow")
    count, dim = vectors.shape
    values = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(vectors.reshape(-1)), dim)
    rows = pyarrow.table({"row": pyarrow.array(np.arange(count)), "vector": values})
    database = package.connect(str(folder / "lance"))
    table = database.create_table("vectors", rows, mode="overwrite")
    table.create_index(
        metric="dot", index_type="IVF_PQ", num_partitions=316, num_sub_vectors=dim // 8
    )

    def search(query: NDArray[np.float32], setting: tuple[int, int]) -> Sequence[int]:
        probes, refine = setting
        request = table.search(query).distance_type("dot").select(["row"]).limit(K)
        nearest = request.nprobes(probes).refine_factor(refine).to_arrow()
        return list(nearest["row"].to_pylist())

    size = sum(path.stat().st_size for path in (folder / "lance").rglob("*") if path.is_file())
    settings = [(probes, refine) for probes in (8, 16, 32, 64, 128) for refine in (5, 10, 20)]
    return Peer(search, settings, size / count, is_own_process=False)


@contextmanager
def pgvector(vectors: Vectors) -> Iterator[Peer]:
    """HNSW in the embedded PostgreSQL 18, one connection, a prepared statement."""
    import asyncpg

    from local.servers.postgres import Postgres

    folder = Path(tempfile.mkdtemp(prefix="pgvector-"))
    folder.chmod(0o711)
    server = Postgres(folder, durable=False)
    server.start()
    runner = asyncio.Runner()
    try:
        connection = runner.run(asyncpg.connect(server.url("postgres")))
        size = runner.run(fill_pgvector(connection, vectors))
        ask = runner.run(
            connection.prepare("SELECT row FROM v ORDER BY vector <#> $1::text::vector LIMIT 10")
        )
        current = [0]

        async def find(query: NDArray[np.float32], ef: int) -> list[int]:
            if current[0] != ef:
                await connection.execute(f"SET hnsw.ef_search = {ef}")
                current[0] = ef
            return [row["row"] for row in await ask.fetch(as_text(query))]

        yield Peer(
            lambda query, ef: runner.run(find(query, ef)),
            EF,
            size / len(vectors),
            is_own_process=False,
        )
        runner.run(connection.close())
    finally:
        runner.close()
        server.stop()


async def fill_pgvector(connection: Any, vectors: Vectors) -> int:
    """Rows and index; returns the bytes of both."""
    await connection.execute("CREATE EXTENSION vector")
    await connection.execute(f"CREATE TABLE v (row int, vector vector({vectors.shape[1]}))")
    await connection.execute("SET maintenance_work_mem = '1GB'")
    await connection.execute("SET max_parallel_maintenance_workers = 0")
    await connection.execute("CREATE TEMP TABLE given (row int, vector text)")
    for start in range(0, len(vectors), 10_000):
        block = vectors[start : start + 10_000]
        records = [(start + place, as_text(vector)) for place, vector in enumerate(block)]
        await connection.copy_records_to_table("given", records=records)
    await connection.execute("INSERT INTO v SELECT row, vector::vector FROM given")
    await connection.execute(
        "CREATE INDEX ON v USING hnsw (vector vector_ip_ops) WITH (m = 32, ef_construction = 100)",
        timeout=3000,
    )
    return int(await connection.fetchval("SELECT pg_total_relation_size('v')"))


def as_text(vector: NDArray[np.float32]) -> str:
    """As pgvector reads a vector."""
    return "[" + ",".join(f"{value:.6g}" for value in vector.tolist()) + "]"
