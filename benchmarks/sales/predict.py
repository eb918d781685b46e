"""What a score costs: beside an image search over HTTP, and with a heatmap beside the bare model.

Run: python -m benchmarks.sales.predict [--url http://127.0.0.1:8000]

The first part needs a running `make up`.
"""

import argparse
import io
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as Ray has it in a replica of less than two CPUs

import httpx
import numpy as np

from drawing.draw import Garment, draw_garment
from models.embedder.embedder import EmbedderConfig, load
from models.sales.explanation.occlusion import background, cover, patches
from models.sales.files import read_starter
from models.sales.regressor import RegressorConfig
from models.sales.scoring import score
from models.sales.shapes import CoveredEmbedding, Offer, ScoreQuery
from studio.sales.predict import explain

ROUNDS = 15
MERCHANT = {"email": "merchant@demo.studio", "password": "studio-demo"}


def jpeg() -> bytes:
    """A drawn dress as a shop would upload it."""
    buffer = io.BytesIO()
    draw_garment(Garment("dress", "red", "striped", 7), 640, 9).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def alternate(
    *calls: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> list[list[float]]:
    """Milliseconds of every call, in turns, so that load falls on all alike."""
    for call in calls:
        call()
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, durations_ms in zip(calls, times, strict=True):
            started = clock()
            call()
            durations_ms.append((clock() - started) * 1000)
    return times


def beside_the_bare_model(data: bytes) -> str:
    """Everything a heatmap takes in the model's process, and the same crops through it alone."""
    embedder = load(EmbedderConfig())
    regressor, boxes = read_starter(RegressorConfig()), patches()
    pixels = embedder.reader.read(data)
    crops = [pixels, *(cover(pixels, box, background(pixels)) for box in boxes)]

    def whole() -> bytes:
        pixels = embedder.reader.read(data)
        fill = background(pixels)
        vectors = embedder.embed_images([pixels, *(cover(pixels, box, fill) for box in boxes)])
        embedded = CoveredEmbedding(embedder.version, vectors, (0.0, 0.0, 1.0, 1.0))
        offer = Offer("dress", None, 70.0, datetime.now(UTC).date())
        scored = score(regressor, [ScoreQuery(vectors, embedder.version, offer)])[0]
        return explain(data, embedded, scored)

    bare, full = alternate(lambda: embedder.embed_images(crops), whole, clock=time.process_time)
    ratio = statistics.median(np.array(full) / np.array(bare))
    return (
        f"{len(crops)} crops, CPU time: bare model {statistics.median(bare):.0f} ms, decoding,"
        f" trees and drawing too {statistics.median(full):.0f} ms; ratio {ratio:.2f} (bar 1.2)"
    )


def beside_a_search(url: str, data: bytes) -> str:
    """Lone requests over HTTP, in turns."""
    with httpx.Client(base_url=url, timeout=60) as client:
        token = client.post("/api/auth/login", json=MERCHANT).json()["accessToken"]
        client.headers["Authorization"] = f"Bearer {token}"
        announced = {
            "filename": "dress.jpg", "contentType": "image/jpeg", "sizeBytes": len(data),
            "purpose": "product",
        }  # fmt: skip
        receipt = client.post("/api/files/presign", json=announced).json()
        httpx.put(receipt["url"], content=data, headers=receipt["headers"])
        file_id = client.post(f"/api/files/{receipt['fileId']}/complete").json()["id"]

        def ask(path: str, **body: object) -> Callable[[], object]:
            return lambda: client.post(path, json={"fileId": file_id} | body).raise_for_status()

        search, score, heat = alternate(
            ask("/api/search/image"),
            ask("/api/analytics/predict", category="dress"),
            ask("/api/analytics/predict", category="dress", heatmap=True),
        )
    middle = [statistics.median(times) for times in (search, score, heat)]
    return (
        f"image search {middle[0]:.0f} ms, score {middle[1]:.0f} ms, ratio"
        f" {statistics.median(np.array(score) / np.array(search)):.2f} (bar 1.5);"
        f" with heatmap {middle[2]:.0f} ms"
    )


def main() -> None:
    """Prints both lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url")
    args = parser.parse_args()
    data = jpeg()
    if args.url:
        print(beside_a_search(args.url, data))
    print(beside_the_bare_model(data))


if __name__ == "__main__":
    main()
