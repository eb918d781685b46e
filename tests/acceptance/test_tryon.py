"""Try-ons on the whole studio: at once and as a job, by the real parser, segmenter and warp."""

import io
import time
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from drawing.draw import Garment, draw_garment
from drawing.people.people import draw_person
from local.client import encode, sign_in, upload


@pytest.fixture
def wishes(http: httpx.Client) -> tuple[dict[str, str], dict[str, Any], Image.Image]:
    """A shopper's headers, what they ask for, and their picture."""
    headers = sign_in(http, "shopper@demo.studio")
    worn = [Garment("t-shirt", "red", "plain", 5), Garment("trousers", "navy", "plain", 2)]
    person = draw_person(11, worn, (512, 384), full_figure=True).image
    garment = draw_garment(Garment("shirt", "green", "striped", 4), 320)
    urls = []
    for picture in (person, garment):
        _, done = upload(http, headers, encode(picture, "PNG"), "image/png")
        urls.append(done.json()["readUrl"])
    body = {"personUrl": urls[0], "garmentUrl": urls[1], "category": "upper", "seed": 3}
    return headers, body, person


def pixels(url: str) -> NDArray[np.uint8]:
    answer = httpx.get(url, timeout=60)
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_a_try_on_at_once_and_as_a_job(
    http: httpx.Client, wishes: tuple[dict[str, str], dict[str, Any], Image.Image]
) -> None:
    headers, body, person = wishes
    answer = http.post("/api/cv/tryon", json=body | {"mode": "sync"}, headers=headers)
    assert answer.status_code == 200, answer.text
    direct = pixels(answer.json()["outputUrl"])
    assert direct.shape == (person.height, person.width, 3)
    changed = (direct != np.asarray(person)).any(-1)
    assert 0.01 < changed.mean() < 0.6
    queued = http.post("/api/cv/tryon", json=body | {"mode": "queued"}, headers=headers)
    assert queued.status_code == 202, queued.text
    for _ in range(300):
        job = http.get(f"/api/jobs/{queued.json()['jobId']}", headers=headers).json()
        if job["state"] not in ("queued", "running"):
            break
        time.sleep(0.2)
    assert job["state"] == "succeeded", job
    np.testing.assert_array_equal(pixels(job["result"]["outputUrl"]), direct)
    page = http.get("/api/cv/tryons", headers=headers).json()
    assert [one["state"] for one in page["items"][:2]] == ["succeeded", "succeeded"]


def test_what_shows_nobody_is_refused(
    http: httpx.Client, wishes: tuple[dict[str, str], dict[str, Any], Image.Image]
) -> None:
    headers, body, _ = wishes
    swapped = body | {"personUrl": body["garmentUrl"], "mode": "sync"}
    answer = http.post("/api/cv/tryon", json=swapped, headers=headers)
    assert answer.status_code == 422 and answer.json()["detail"].startswith("personUrl")
