"""The sweep removes blobs without a row, and rows without their blob."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from db.tables import File, IndexVersion, Prediction, Product, SegmentationResult, TryonJob
from studio.deletion.lifecycle import rule_of
from studio.operations.sweep import compare, sweep
from studio.ports import Studio
from tests.studio.deletion.rows import OWNER, PLOT, STRAYS, OldStore, add, ids

pytestmark = pytest.mark.usefixtures("account")


async def fill_store(studio: Studio) -> dict[str, str]:
    """Inserts a row with its blob of each kind. Returns the key by prefix."""
    keys = {
        "uploads": f"uploads/{OWNER}/{uuid4()}.png", "masks": f"masks/{OWNER}/{uuid4()}.png",
        "tryon": f"tryon/{uuid4()}.png", "heatmaps": f"heatmaps/{uuid4()}.png",
        "fetched": f"uploads/{OWNER}/fetched/{uuid4()}-person.png",
        "products": "products/a/b.jpg", "indexes": "indexes/v/faiss",
    }  # fmt: skip
    await add(
        studio,
        File(
            owner_id=OWNER, purpose="selfie", filename="x", content_type="image/png",
            size_bytes=1, blob_key=keys["uploads"], status="ready",
        ),
        SegmentationResult(
            user_id=OWNER, input_key="https://x", mask_key=keys["masks"], label="x", area=1,
            score=1, model_version="v", latency_ms=1, request_id="r",
        ),
        TryonJob(
            user_id=OWNER, person_key=keys["fetched"], garment_key="x", output_key=keys["tryon"],
            seed=1, state="succeeded", request_id="r",
        ),
        Prediction(
            user_id=OWNER, input_key="https://x", score=1, err_low=1, err_high=1, coverage=1,
            heatmap_key=keys["heatmaps"], model_version="v", embedder_version="e", request_id="r",
        ),
        Product(
            id="p", owner_id=OWNER, title="x", category="x", price=Decimal(1), currency="EUR",
            image_key=keys["products"], image_sha256="x", change_seq=1,
        ),
        IndexVersion(version="v", embedder_version="e", status="active"),
    )  # fmt: skip
    for key in keys.values():
        await studio.blobs.put(key, b"x", "image/png")
    return keys


async def test_the_sweep_removes_what_has_no_row_after_a_day(studio: Studio) -> None:
    keys = await fill_store(studio)
    foreign = "elsewhere/x.png"  # not the studio's
    for key in (*STRAYS, PLOT, foreign):
        assert (rule_of(key) is None) == (key == foreign)
        await studio.blobs.put(key, b"x", "image/png")
    young = await sweep(studio.database, studio.blobs)
    assert (young.strays, young.expired) == ([], [])
    old: Any = OldStore(studio)
    differences = await compare(studio.database, old)
    assert (sorted(differences.strays), differences.expired) == (sorted(STRAYS), [PLOT])
    assert (differences.blobs, differences.missing_count) == (len(keys) + len(STRAYS), 0)
    await sweep(studio.database, old)
    assert {key async for key in studio.blobs.list("")} == {*keys.values(), foreign}


async def test_the_sweep_removes_rows_whose_blob_is_gone(studio: Studio) -> None:
    keys = await fill_store(studio)
    for prefix in ("uploads", "masks", "tryon", "heatmaps", "products"):
        await studio.blobs.delete(keys[prefix])
    differences = await sweep(studio.database, studio.blobs)
    assert differences.missing_count == 5
    for column in (File.id, SegmentationResult.id, TryonJob.id, Prediction.id):
        assert await ids(studio, column) == set()
    assert await ids(studio, Product.id) == {"p"}  # its merchant gives it another picture
    assert await studio.blobs.head(keys["fetched"]) is None  # went with its try-on


async def test_another_studios_store_is_left_alone(studio: Studio) -> None:
    await fill_store(studio)
    others = [f"masks/{uuid4()}/{uuid4()}.png" for _ in range(30)]
    for key in others:
        await studio.blobs.put(key, b"x", "image/png")
    old: Any = OldStore(studio)
    assert len((await sweep(studio.database, old)).strays) == 30
    assert set(others) <= {key async for key in studio.blobs.list("masks/")}


async def test_plots_of_evaluations_never_keep_the_sweep_from_its_work(studio: Studio) -> None:
    """Plots have no rows, so their number must not stop the sweep."""
    keys = await fill_store(studio)
    plots = [f"regressors/starter/evaluations/{uuid4()}/plot.png" for _ in range(60)]
    for key in (*plots, STRAYS[3]):
        await studio.blobs.put(key, b"x", "image/png")
    old: Any = OldStore(studio)
    await sweep(studio.database, old)
    assert {key async for key in studio.blobs.list("")} == set(keys.values())


async def test_a_kind_that_is_refused_keeps_no_other_from_removal(studio: Studio) -> None:
    keys = await fill_store(studio)
    others = [f"masks/{uuid4()}/{uuid4()}.png" for _ in range(30)]
    for key in others:
        await studio.blobs.put(key, b"x", "image/png")
    await studio.blobs.delete(keys["masks"])
    heatmaps = [f"heatmaps/{uuid4()}.png" for _ in range(3)]
    for key in heatmaps:
        await studio.blobs.put(key, b"x", "image/png")
        await add(
            studio,
            Prediction(
                user_id=OWNER, input_key="https://x", score=1, err_low=1, err_high=1, coverage=1,
                heatmap_key=key, model_version="v", embedder_version="e", request_id="r",
            ),
        )  # fmt: skip
    await studio.blobs.put(STRAYS[5], b"x", "image/png")
    old: Any = OldStore(studio)
    await sweep(studio.database, old)
    assert {key async for key in studio.blobs.list("heatmaps/")} == {keys["heatmaps"], *heatmaps}
    assert {key async for key in studio.blobs.list("masks/")} == set(others)
    assert len(await ids(studio, SegmentationResult.id)) == 1  # nor are rows of the kind removed
