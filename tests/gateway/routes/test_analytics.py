"""Merchant analytics over HTTP: predict, eval, train, versions; what is refused, what is kept."""

import io
from typing import Any
from uuid import UUID

import httpx
import numpy as np
import pytest
from PIL import Image
from sqlmodel import select

from db.catalog import put_embedding, take_change_seq, upsert_product
from db.tables import Prediction, ProductEmbedding, RegressorVersion
from models.embedder.shapes import pack_vector
from studio.ports import Studio
from tests.gateway.routes.test_jobs import dataset
from tests.gateway.routes.test_search import upload
from tests.jobs.working import dispatching, events_of, until_state
from tests.support.fakes import FakeEmbedder, LocalRegressor, picture, sign_in

Headers = dict[str, str]
CSV = {"name": "sales.csv", "kind": "text/csv"}


async def whoami(client: httpx.AsyncClient, headers: Headers) -> UUID:
    return UUID((await client.get("/api/auth/me", headers=headers)).json()["id"])


async def stock(studio: Studio, owner_id: UUID, count: int) -> list[str]:
    """Products of one colour each, embedded; redder ones come first."""
    async with studio.database.transaction() as session:
        for at in range(count):
            data = picture(f"#{255 - at * 2 % 256:02x}40{at * 2 % 256:02x}")
            vector = (await studio.embedder.embed_image(data)).vector
            key, product_id = f"products/p-{at}.jpg", f"p-{at}"
            await studio.blobs.put(key, data, "image/jpeg")
            values: dict[str, Any] = {
                "owner_id": owner_id, "title": f"Thing {at}", "brand": "b", "price": 20,
                "category": ("dress", "shirt")[at % 2], "currency": "EUR", "in_stock": True,
                "image_key": key, "image_sha256": str(at),
                "change_seq": await take_change_seq(session),
            }  # fmt: skip
            await upsert_product(session, product_id, values)
            embedding = ProductEmbedding(
                product_id=product_id, embedder_version="fake-embedder",
                vector=pack_vector(vector), image_sha256=str(at),
            )  # fmt: skip
            await put_embedding(session, embedding)
    return [f"p-{at}" for at in range(count)]


def sales_csv(ids: list[str], seed: int = 0, slope: float = 0.02) -> str:
    """The later in the list, the more it sells."""
    rng = np.random.default_rng(seed)
    lines = [
        f"{one},2026-0{1 + at % 6}-1{at % 10},{np.exp(2 + slope * at + rng.normal(0, 0.1)):.3f}"
        for at, one in enumerate(ids)
    ]
    return "productId,date,units\n" + "\n".join(lines) + "\n"


async def predict(client: httpx.AsyncClient, headers: Headers, **body: Any) -> httpx.Response:
    return await client.post("/api/analytics/predict", json=body, headers=headers)


async def train(
    client: httpx.AsyncClient, studio: Studio, headers: Headers, text: str | bytes
) -> Any:
    data = text.encode() if isinstance(text, str) else text
    file_id = await dataset(client, headers, data, **CSV)
    answer = await client.post("/api/analytics/train", json={"fileId": file_id}, headers=headers)
    assert answer.status_code == 202, answer.text
    async with dispatching(studio):
        return await until_state(studio, UUID(answer.json()["jobId"]), timeout_s=60)


async def versions(studio: Studio) -> list[RegressorVersion]:
    async with studio.database.read() as session:
        return list((await session.exec(select(RegressorVersion))).all())


async def test_a_picture_is_scored_within_its_bounds_and_leaves_a_row(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio, "merchant")
    blue, red = [await upload(client, headers, picture(colour)) for colour in ("blue", "red")]
    answer = await predict(client, headers, fileId=blue, category="Dress", price="19.90")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert 0 <= body["errLow"] <= body["score"] <= body["errHigh"] <= 100
    assert body["coverage"] == 0.9
    assert body["modelVersion"] == "tiny"
    assert (body["category"], body["categoryGuessed"]) == ("dress", False)
    assert len(body["comparables"]) == 5
    assert "heatmapUrl" not in body
    low = (await predict(client, headers, fileId=red, category="dress")).json()
    assert low["score"] < body["score"]
    guessed = (await predict(client, headers, fileId=blue)).json()
    assert guessed["categoryGuessed"] and guessed["category"] in {"dress", "shirt"}
    async with studio.database.read() as session:
        rows = (await session.exec(select(Prediction).order_by(Prediction.created_at))).all()  # type: ignore[arg-type]
    assert [row.model_version for row in rows] == ["tiny"] * 3
    assert (round(rows[0].score, 2), rows[0].coverage) == (body["score"], 0.9)
    assert rows[0].request_id == answer.headers["x-request-id"]
    assert rows[0].params["price"] == 19.9


async def test_the_heatmap_is_a_picture_with_a_legend(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio, "merchant")
    canvas = Image.new("RGB", (300, 200), "white")
    canvas.paste("blue", (100, 50, 200, 150))
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG")
    file_id = await upload(client, headers, buffer.getvalue())
    body = (await predict(client, headers, fileId=file_id, category="dress", heatmap=True)).json()
    drawn = await client.get(body["heatmapUrl"])
    assert drawn.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(drawn.content)) as page:
        assert page.size == (300, 244)
        page.load()
    async with studio.database.read() as session:
        row = (await session.exec(select(Prediction))).one()
    assert row.heatmap_key == f"heatmaps/{row.id}.png"


async def test_a_product_is_scored_by_what_the_catalogue_knows(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio, "merchant")
    ids = await stock(studio, await whoami(client, headers), 2)
    body = (await predict(client, headers, productId=ids[1], heatmap=True)).json()
    assert (body["category"], body["categoryGuessed"]) == ("shirt", False)
    assert (await client.get(body["heatmapUrl"])).status_code == 200
    assert (await predict(client, headers, productId="nothing")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"productId": "a", "imageUrl": "https://example.com/a.jpg"}, 422),
        ({"productId": "a", "price": 0}, 422),
        ({"productId": "a", "price": "NaN"}, 422),
        ({"productId": "a", "heatmap": "yes"}, 422),
        ({"productId": "a", "colour": "red"}, 422),
        ({"fileId": "00000000-0000-0000-0000-000000000000"}, 404),
        ({"imageUrl": "http://127.0.0.1/a.jpg"}, 422),
    ],
)
async def test_what_is_not_scored(
    client: httpx.AsyncClient, studio: Studio, body: dict[str, Any], status: int
) -> None:
    headers = await sign_in(client, studio, "merchant")
    answer = await predict(client, headers, **body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_another_embedder_is_told_apart(client: httpx.AsyncClient, studio: Studio) -> None:
    headers = await sign_in(client, studio, "merchant")
    file_id = await upload(client, headers, picture())
    assert isinstance(studio.embedder, FakeEmbedder)
    studio.embedder._version = "another"
    answer = await predict(client, headers, fileId=file_id)
    assert answer.status_code == 409
    assert "train a new version" in answer.json()["detail"]
    health = (await client.get("/api/health/reg")).json()
    assert health["status"] == "ok" and "merchants' own" in health["detail"]


# Slow: regressors are trained.
async def test_train_predict_by_the_own_version_and_roll_back(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio, "merchant")
    ids = await stock(studio, await whoami(client, headers), 120)
    job = await train(client, studio, headers, sales_csv(ids))
    assert job.state == "succeeded", job.error
    assert job.result is not None and job.result["live"]
    assert 0.8 <= job.result["metrics"]["coverage"] <= 1
    assert job.result["metrics"]["logError"] < job.result["metrics"]["championError"]
    body = (await predict(client, headers, productId=ids[100])).json()
    assert body["modelVersion"] == job.result["version"]
    assert body["score"] > (await predict(client, headers, productId=ids[10])).json()["score"]
    assert ids[100] not in [one["id"] for one in body["comparables"]]
    assert all(one["title"] and one["image"] for one in body["comparables"])
    other = await sign_in(client, studio, "merchant")
    assert (await predict(client, other, productId=ids[1])).json()["modelVersion"] == "tiny"

    worse = sales_csv(ids, seed=9, slope=0.0)
    second = await train(client, studio, headers, worse)
    assert second.state == "succeeded", second.error
    listed = (await client.get("/api/analytics/versions", headers=headers)).json()["items"]
    assert {one["version"] for one in listed} == {body["modelVersion"], second.result["version"]}
    assert (await client.get(listed[0]["plots"]["calibration"])).status_code == 200
    for version, name in (("starter", "tiny"), (body["modelVersion"], body["modelVersion"])):
        path = f"/api/analytics/versions/{version}/activate"
        assert (await client.post(path, headers=headers)).status_code == 200
        now = (await predict(client, headers, productId=ids[1])).json()
        assert now["modelVersion"] == name
        assert (await client.post(path, headers=other)).status_code == (
            200 if version == "starter" else 404
        )
    active = [row.version for row in await versions(studio) if row.status == "active"]
    assert active == [body["modelVersion"]]


async def test_a_challenger_that_is_no_better_stays_ready(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio, "merchant")
    ids = await stock(studio, await whoami(client, headers), 120)
    first = await train(client, studio, headers, sales_csv(ids))
    again = await train(client, studio, headers, sales_csv(ids))  # the same can't be better
    assert (first.result["live"], again.result["live"]) == (True, False)
    status = {row.version: row.status for row in await versions(studio)}
    assert status[first.result["version"]] == "active"
    assert status[again.result["version"]] == "ready"
    assert again.result["metrics"]["champion"] == first.result["version"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("p-7,", "gone,"), "line 9: there is no product gone"),
        (lambda text: text + "p-1,2026-01-01,nan\np-1,2026-01-01,-2\n", "2 of 102 lines"),
        (lambda text: "\n".join(text.split("\n")[:40]), "at least 80"),
        (lambda text: text.replace("units", "sold"), "lacks units and has unknown sold"),
    ],
)
async def test_bad_sales_train_nothing(
    client: httpx.AsyncClient, studio: Studio, change: Any, said: str
) -> None:
    headers = await sign_in(client, studio, "merchant")
    ids = await stock(studio, await whoami(client, headers), 100)
    job = await train(client, studio, headers, change(sales_csv(ids)))
    assert job.state == "failed"
    assert said in (job.error or "")
    assert job.attempts == 1
    assert await versions(studio) == []
    assert [key async for key in studio.blobs.list("regressors/")] == []
    if "line" in said and "lacks" not in said:
        assert any(event.progress.get("errors") for event in await events_of(studio, job.id))


async def test_semicolons_a_bom_and_days_out_of_order_train_as_well(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio, "merchant")
    ids = await stock(studio, await whoami(client, headers), 100)
    lines = sales_csv(ids).split("\n")
    shuffled = [lines[0], *reversed(lines[1:-1])]
    text = "\ufeff" + "\r\n".join(line.replace(",", ";").replace(".", ",") for line in shuffled)
    job = await train(client, studio, headers, text)
    assert job.state == "succeeded", job.error
    assert job.result["metrics"]["rows"] == 100


async def test_damaged_files_are_refused_not_used(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio, "merchant")
    ids = await stock(studio, await whoami(client, headers), 100)
    job = await train(client, studio, headers, sales_csv(ids))
    await studio.blobs.put(f"regressors/{job.result['version']}/trees.ubj", b"no trees", "x/y")
    answer = await predict(client, headers, productId=ids[0])
    assert answer.status_code == 422 and "damaged: trees.ubj" in answer.json()["detail"]


# Slow: Matplotlib is imported, and draws four plots.
async def test_an_evaluation_of_observations_and_of_a_file(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio, "merchant")
    ids = await stock(studio, await whoami(client, headers), 100)
    file_id = await upload(client, headers, picture("blue"))
    lines: list[dict[str, Any]] = []
    lines += [{"productId": one, "units": 5 + at} for at, one in enumerate(ids)]
    lines.append({"fileId": file_id, "units": 50, "category": "dress", "date": "2026-01-02"})
    answer = await client.post("/api/analytics/eval", json={"observations": lines}, headers=headers)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["n"] == 101
    assert 0 <= body["coverage"] <= 1
    assert set(body["baselines"]) == {"categoryMean", "imageKnn"}
    assert body["modelVersion"] == "tiny"
    assert set(body["plots"]) == {"calibration", "predicted"}
    for url in body["plots"].values():
        plot = await client.get(url)
        with Image.open(io.BytesIO(plot.content)) as image:
            assert image.format == "PNG" and image.width > 400
    dataset_id = await dataset(client, headers, sales_csv(ids).encode(), **CSV)
    by_file = await client.post("/api/analytics/eval", json={"fileId": dataset_id}, headers=headers)
    assert by_file.status_code == 200 and by_file.json()["n"] == 100
    assert by_file.json()["spearman"] > 0.5


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "either observations or fileId"),
        ({"observations": []}, "/observations"),
        ({"observations": [{"productId": "a", "units": -1}]}, "/observations/0/units"),
        ({"observations": [{"units": 1}]}, "exactly one of"),
    ],
)
async def test_what_is_not_evaluated(
    client: httpx.AsyncClient, studio: Studio, body: dict[str, Any], said: str
) -> None:
    headers = await sign_in(client, studio, "merchant")
    answer = await client.post("/api/analytics/eval", json=body, headers=headers)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


async def test_an_observation_of_nothing_is_named(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    headers = await sign_in(client, studio, "merchant")
    body = {"observations": [{"productId": "gone", "units": 1}]}
    answer = await client.post("/api/analytics/eval", json=body, headers=headers)
    assert answer.status_code == 404
    assert answer.json()["detail"] == "/observations/0: there is no product gone"


async def test_a_regressor_that_is_down_is_told(client: httpx.AsyncClient, studio: Studio) -> None:
    from errors import Unavailable

    headers = await sign_in(client, studio, "merchant")
    file_id = await upload(client, headers, picture())
    assert isinstance(studio.regressor, LocalRegressor)
    studio.regressor.failure = Unavailable("Regressor is starting or down")
    answer = await predict(client, headers, fileId=file_id)
    assert answer.status_code == 503 and answer.headers["retry-after"]
    assert (await client.get("/api/health/reg")).status_code == 503
