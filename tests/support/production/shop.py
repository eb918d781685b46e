"""A shop on a production cluster: its people, its products, and what they ask for over HTTP."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from PIL import Image

from drawing.draw import CATEGORIES, COLOURS, Garment, draw_garment
from drawing.people.people import draw_person
from local.client import encode, require_success, upload
from tests.support.fakes import PASSWORD

JOB_S = 180.0
Headers = dict[str, str]


@dataclass
class Shop:
    """Its requests over HTTP, as merchants and customers send them."""

    http: httpx.Client
    people: dict[str, Headers] = field(default_factory=dict)
    pictures: dict[str, tuple[str, str]] = field(default_factory=dict)
    """File id and readable URL of uploaded pictures, by name."""
    products: dict[str, dict[str, object]] = field(default_factory=dict)
    """The body that each path was PUT with."""

    def open(self, products: int) -> None:
        """Signs everybody in, makes the first index, and fills the catalogue."""
        for role in ("customer", "merchant", "admin"):
            body = {"email": f"{role}@example.com", "password": PASSWORD}
            answer = require_success(self.http.post("/api/auth/login", json=body)).json()
            self.people[role] = {"Authorization": f"Bearer {answer['accessToken']}"}
        self.finish(self.queue("rebuild-index"))
        for number in range(products):
            self.put_product(number)
        self.wait_until(lambda: len(self.find_by_text()["results"]) == products)

    def put_product(self, number: int) -> None:
        """Creates or replaces a product with a picture of its own."""
        garment = garment_of(number)
        picture = encode(draw_garment(garment, 200), quality=90)
        file_id, _ = upload(self.http, self.people["merchant"], picture)
        body: dict[str, object] = {
            "title": f"{garment.colour} {garment.category}", "category": garment.category,
            "price": "10.00", "currency": "EUR", "inStock": True, "fileId": file_id,
        }  # fmt: skip
        path = f"/api/catalog/products/p-{number}"
        require_success(self.http.put(path, json=body, headers=self.people["merchant"]))
        self.products[path] = body

    def send_picture(self, name: str, picture: Image.Image) -> None:
        """Uploads a customer's picture."""
        headers = self.people["customer"]
        data = encode(picture, "PNG")
        file_id, done = upload(self.http, headers, data, "image/png")
        self.pictures[name] = file_id, require_success(done).json()["readUrl"]

    def send_pictures(self) -> None:
        """A person, a garment, and the picture of product 3."""
        worn = [Garment("t-shirt", "red", "plain", 5), Garment("trousers", "navy", "plain", 2)]
        self.send_picture("person", draw_person(11, worn, (512, 384), full_figure=True).image)
        self.send_picture("garment", draw_garment(Garment("shirt", "green", "striped", 4), 320))
        self.send_picture("product", draw_garment(garment_of(3), 200))

    def post(self, path: str, role: str = "customer", **body: object) -> httpx.Response:
        return self.http.post(path, json=body, headers=self.people[role])

    def find_by_text(self) -> dict[str, Any]:
        """Searches for words that every product answers."""
        answer = self.post("/api/search/text", query="in stock", topK=50)
        return dict(require_success(answer).json())

    def tryon(self, mode: str, **body: Any) -> httpx.Response:
        return self.post(
            "/api/cv/tryon", personUrl=self.pictures["person"][1],
            garmentUrl=self.pictures["garment"][1], category="upper", seed=3, mode=mode, **body,
        )  # fmt: skip

    def queue(self, kind: str, **payload: object) -> str:
        """Queues a job as an administrator; its id."""
        answer = self.post("/api/jobs", "admin", type=kind, payload=payload)
        return str(require_success(answer).json()["jobId"])

    def job(self, job_id: str, role: str = "admin") -> dict[str, Any]:
        answer = self.http.get(f"/api/jobs/{job_id}", headers=self.people[role])
        return dict(require_success(answer).json())

    def finish(self, job_id: str, role: str = "admin") -> dict[str, Any]:
        """The job at its end; raises AssertionError where it fails or takes too long."""
        self.wait_until(lambda: self.job(job_id, role)["state"] not in ("queued", "running"), JOB_S)
        job = self.job(job_id, role)
        assert job["state"] == "succeeded", job
        return job

    @staticmethod
    def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Waits; answers that are no success and lost connections count as no."""
        deadline_s = time.monotonic() + timeout_s
        problem: Exception | None = None
        while time.monotonic() < deadline_s:
            try:
                if condition():
                    return
            except (httpx.TransportError, RuntimeError) as error:
                problem = error
            time.sleep(0.2)
        raise AssertionError(f"not within {timeout_s:.0f} s: {problem}")


def garment_of(number: int) -> Garment:
    """The garment of a product: every number has another one."""
    category = CATEGORIES[number % len(CATEGORIES)]
    colour = COLOURS[number // len(CATEGORIES) % len(COLOURS)]
    return Garment(category, colour, "plain", style_seed=number)
