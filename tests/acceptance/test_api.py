"""The whole studio over real HTTP: its main job, its promises, and hostile input."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from drawing.draw import CATEGORIES, COLOURS, PATTERNS, Garment, draw_garment
from local.client import encode, put_product, search, sign_in, upload
from local.cluster import log_folder
from tests.models.test_images import gradient, png_header
from tests.support.cluster import WholeStudio

SEEN_WITHIN_S = 2.0
"""CONTRACT.md promises that searches find a change within two seconds."""


# Slow: as the first test of the unit, it waits until the whole studio has started.
def test_the_first_search_of_a_newcomer_shows_what_was_asked(http: httpx.Client) -> None:
    first = search(http, "text", query="red striped dress")[0]
    assert first["title"] == "Striped red dress"
    assert (first["category"], first["currency"]) == ("dress", "EUR")
    picture = httpx.get(first["image"])
    assert picture.status_code == 200 and picture.headers["content-type"] == "image/jpeg"


def test_the_one_product_that_was_described_is_among_the_first_five(http: httpx.Client) -> None:
    right = total = 0
    for place, category in enumerate(CATEGORIES):
        for shift, colour in enumerate(COLOURS):
            pattern = PATTERNS[(place + shift) % len(PATTERNS)]
            words = f"{colour} {'' if pattern == 'plain' else pattern} {category}"
            titles = [one["title"] for one in search(http, "text", query=words, topK=5)]
            right += f"{pattern.capitalize()} {colour} {category}" in titles
            total += 1
    assert right / total >= 0.9, f"{right} of {total}"


def test_a_redrawn_garment_finds_its_own_product(http: httpx.Client) -> None:
    headers = sign_in(http)
    right = 0
    for place in range(0, 432, 36):  # demo product `place` has style seed 1000 + place
        category, colour = CATEGORIES[place % 108 // 12], COLOURS[place % 12]
        pattern = PATTERNS[place // 108]
        garment = Garment(category, colour, pattern, style_seed=1000 + place)
        picture = encode(draw_garment(garment, size=300, view_seed=77), quality=90)
        file_id, _ = upload(http, headers, picture)
        first = search(http, "image", fileId=file_id, topK=1, headers=headers)[0]
        right += first["id"].startswith(f"demo-{category}-{colour}-{pattern}-")
    assert right >= 11


def test_a_changed_product_is_found_and_a_deleted_one_is_gone(http: httpx.Client) -> None:
    headers = sign_in(http)
    garment = Garment("dress", "green", "dotted", style_seed=5)
    file_id, _ = upload(http, headers, encode(draw_garment(garment, size=320)))
    product_id, answer = put_product(http, headers, file_id)
    assert answer.status_code == 201

    def is_first() -> bool:
        return bool(search(http, "image", fileId=file_id, headers=headers)[0]["id"] == product_id)

    assert wait_until(is_first)
    body = search(http, "image", fileId=file_id, headers=headers)[0]
    assert body["score"] > 0.99
    http.delete(f"/api/catalog/products/{product_id}", headers=headers)
    assert wait_until(lambda: not is_first())


def wait_until(condition: object, timeout_s: float = SEEN_WITHIN_S) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


GOOD_PICTURES = {
    "gif": ("image/gif", encode(gradient(300, 200), "GIF", save_all=True,
                                append_images=[gradient(300, 200).rotate(180)])),
    "cmyk": ("image/jpeg", encode(gradient(300, 200).convert("CMYK"))),
    "16-bit": ("image/png", encode(
        Image.fromarray((np.arange(60_000, dtype=np.uint16)).reshape(200, 300)), "PNG")),
    "rotated": ("image/jpeg", encode(gradient(300, 200), exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08"
                b"\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00")),
    "palette": ("image/png", encode(gradient(300, 200).convert("P"), "PNG")),
    "1x1": ("image/png", encode(gradient(1, 1), "PNG")),
    "12 MP": ("image/jpeg", encode(
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (3000, 4000, 3), np.uint8)),
        quality=70)),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD_PICTURES)
def test_odd_pictures_are_searched(http: httpx.Client, name: str) -> None:
    headers = sign_in(http)
    content_type, data = GOOD_PICTURES[name]
    file_id, done = upload(http, headers, data, content_type)
    assert done.status_code == 200, done.text
    if name == "rotated":
        assert (done.json()["width"], done.json()["height"]) == (200, 300)
    assert search(http, "image", fileId=file_id, headers=headers)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"not an image at all", 415),
        (encode(gradient(400, 300))[:5000], 422),
        (png_header(30_000, 30_000), 422),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415),
    ],
    ids=["text", "truncated", "30000x30000", "svg"],
)
def test_what_is_no_usable_picture_is_refused_and_the_next_one_works(
    http: httpx.Client, data: bytes, status: int
) -> None:
    headers = sign_in(http)
    file_id, done = upload(http, headers, data)
    assert done.status_code == status, done.text
    assert done.headers["content-type"] == "application/problem+json"
    body = {"fileId": file_id}
    assert http.post("/api/search/image", json=body, headers=headers).status_code == 409
    good, _ = upload(http, headers, encode(gradient()))
    assert search(http, "image", fileId=good, headers=headers)


def test_many_callers_get_what_one_caller_gets(http: httpx.Client) -> None:
    headers = sign_in(http)
    files = [
        upload(http, headers, encode(draw_garment(Garment("bag", colour), size=300)))[0]
        for colour in COLOURS
    ]

    def results(file_id: str) -> list[tuple[str, float]]:
        hits = search(http, "image", fileId=file_id, headers=headers, topK=20)
        return [(one["id"], one["score"]) for one in hits]

    alone = [results(file_id) for file_id in files]
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(results, files * 4))
    for place, hits in enumerate(together):
        expected = alone[place % len(files)]
        assert [score for _, score in hits] == pytest.approx(
            [score for _, score in expected], abs=1e-4
        )
        assert hits[0][0] == expected[0][0]


def test_the_callers_address_cannot_be_forged(http: httpx.Client) -> None:
    forged = {"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7"}
    email = "nobody@example.com"
    http.post("/api/auth/login", json={"email": email, "password": "x" * 12}, headers=forged)
    admin = sign_in(http, "admin@demo.studio")
    rows = http.get("/api/admin/audit", params={"action": "LOGIN_FAILED"}, headers=admin).json()
    assert rows["items"][0]["ip"] == "127.0.0.1"


@pytest.mark.parametrize("request_id", ["bad id!!", "x", "a" * 65])
def test_only_a_well_formed_request_id_is_echoed_and_once(
    http: httpx.Client, request_id: str
) -> None:
    bad = http.get("/api/health/live", headers={"X-Request-ID": request_id})
    (echoed,) = bad.headers.get_list("x-request-id")
    assert echoed != request_id and len(echoed) >= 8
    good = http.get("/api/health/live", headers={"X-Request-ID": "my-own-id-1"})
    assert good.headers.get_list("x-request-id") == ["my-own-id-1"]


def test_it_listens_on_loopback_only(whole_studio: WholeStudio) -> None:
    for process in whole_studio.processes():
        if process.is_running():
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    address = connection.laddr.ip.removeprefix("::ffff:")
                    assert address in {"127.0.0.1", "::1"}, (process.cmdline(), connection)


def test_it_fits_its_memory(whole_studio: WholeStudio) -> None:
    total = sum(process.memory_full_info().pss for process in whole_studio.processes())
    assert total < 6e9, f"{total / 1e9:.2f} GB"


def test_admins_see_index_versions_and_roll_back(http: httpx.Client) -> None:
    admin = sign_in(http, "admin@demo.studio")
    versions = http.get("/api/admin/index/versions", headers=admin).json()["items"]
    (active,) = [one for one in versions if one["status"] == "active"]
    assert active["count"] == 432
    path = f"/api/admin/index/versions/{active['version']}/activate"
    assert http.post(path, headers=admin).status_code == 200
    assert http.post(path, headers=sign_in(http)).status_code == 403
    gone = http.post("/api/admin/index/versions/nothing/activate", headers=admin)
    assert gone.status_code == 404


def test_the_operator_finds_a_request_by_its_id(
    whole_studio: WholeStudio, http: httpx.Client
) -> None:
    body, headers = {"query": "green bag"}, {"X-Request-ID": "find-me-in-the-logs"}
    assert http.post("/api/search/text", json=body, headers=headers).status_code == 200
    deadline_s = time.monotonic() + 20
    answered = '"route": "/api/search/text"'
    while not (
        lines := [
            line for line in whole_studio.log_lines("find-me-in-the-logs") if answered in line
        ]
    ):
        assert time.monotonic() < deadline_s, list(log_folder(whole_studio.data_dir).iterdir())
        time.sleep(0.2)
    assert '"status": 200' in lines[0]
