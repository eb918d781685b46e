"""Segmentation in the whole studio: real networks, real blobs, a large photograph."""

import io
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from drawing.draw import Garment, draw_with_cover
from drawing.people.people import draw_person
from local.client import encode, sign_in, upload
from models.segmenter.regions import iou


def read_mask(url: str) -> NDArray[Any]:
    answer = httpx.get(url)
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def segment(http: httpx.Client, headers: dict[str, str], **body: object) -> httpx.Response:
    return http.post("/api/cv/segmentation", json=body, headers=headers)


def test_a_garment_and_a_person_are_cut_out(http: httpx.Client) -> None:
    headers = sign_in(http)
    picture, cover = draw_with_cover(Garment("t-shirt", "red", style_seed=8), 400, 3)
    file_id, _ = upload(http, headers, encode(picture, quality=90))
    answer = segment(http, headers, fileId=file_id, target="garment")
    assert answer.status_code == 200, answer.text
    mask = read_mask(answer.json()["maskUrl"])
    assert mask.shape == (400, 400)
    assert iou(mask == 255, np.asarray(cover) > 127) > 0.8
    refused = segment(http, headers, fileId=file_id, target="person")
    assert refused.status_code == 422
    assert "no person" in refused.json()["detail"]
    drawn = draw_person(4, (), (480, 320), full_figure=True)
    file_id, _ = upload(http, headers, encode(drawn.image, quality=92))
    person = segment(http, headers, fileId=file_id, target="person").json()
    assert iou(read_mask(person["maskUrl"]) == 255, drawn.parse > 0) > 0.8
    x, y, w, h = (person["bbox"][name] for name in ("x", "y", "width", "height"))
    boxed = segment(http, headers, fileId=file_id, box=[x, y, x + w, y + h])
    assert boxed.status_code == 200, boxed.text
    outside = segment(http, headers, fileId=file_id, points=[[5000, 5]])
    assert outside.status_code == 422
    assert "outside" in outside.json()["detail"]


def test_a_photograph_of_twelve_megapixels_passes(http: httpx.Client) -> None:
    headers = sign_in(http)
    drawn = draw_person(9, (), (500, 375), full_figure=True)
    large = drawn.image.resize((3000, 4000))
    file_id, _ = upload(http, headers, encode(large, quality=80))
    answer = segment(http, headers, fileId=file_id, target="person")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["width"], answer.json()["height"]) == (3000, 4000)
    assert read_mask(answer.json()["maskUrl"]).shape == (4000, 3000)
    assert http.get("/api/health/seg").json()["status"] == "ok"
