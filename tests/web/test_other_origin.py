"""A web shop on another origin: its page searches, uploads and reads errors in a real Chromium."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from studio.accounts import passwords
from tests.gateway.resources import JPEG
from tests.gateway.test_conformance import sell_something
from tests.support.fakes import PASSWORD, make_settings
from tests.support.served import serving_gateway
from tests.web.chromium import running_chromium

VISIT = """async ([api, password, picture]) => {
    const ask = async (method, path, body, headers = {}) => {
        const answer = await fetch(api + path, {
            method, headers: {"Content-Type": "application/json", ...headers},
            body: body && JSON.stringify(body),
        });
        const id = answer.headers.get("X-Request-ID");
        return {status: answer.status, id, limit: answer.headers.get("RateLimit"),
                body: await answer.json()};
    };
    const search = await ask("POST", "/api/search/text", {query: "red dress"},
                             {"X-Request-Deadline-Ms": "20000", "X-Request-ID": "page-request"});
    const wrong = await ask("POST", "/api/search/text", {query: ""});
    const account = {email: "page@example.com", password};
    await ask("POST", "/api/auth/register", account);
    const {body: {accessToken}} = await ask("POST", "/api/auth/login", account);
    const token = {"Authorization": `Bearer ${accessToken}`, "Idempotency-Key": "once"};
    const data = Uint8Array.from(atob(picture), one => one.charCodeAt(0));
    const {body: receipt} = await ask("POST", "/api/files/presign", {
        filename: "a.jpg", contentType: "image/jpeg", sizeBytes: data.length, purpose: "garment",
    }, token);
    const put = await fetch(receipt.url, {
        method: receipt.method, headers: receipt.headers, body: data,
    });
    const done = await ask("POST", `/api/files/${receipt.fileId}/complete`, undefined, token);
    const read = await fetch(done.body.readUrl);
    return {search, wrong, put: put.status, done, bytes: (await read.arrayBuffer()).byteLength};
}"""
REFUSED = """async api => {
    try {
        return (await fetch(api + "/api/health/live")).status;
    } catch (error) {
        return error.name;
    }
}"""


class Shop(BaseHTTPRequestHandler):
    """Serves an empty page."""

    def do_GET(self) -> None:
        """Answers every path."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>A shop</title>")

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


@contextmanager
def serving_shop() -> Iterator[int]:
    """Serves the shop on loopback while the block runs. Yields its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_page_of_another_origin_uses_the_studio(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "COST", 4)
    picture = base64.b64encode(JPEG).decode()
    with serving_shop() as port:
        settings = make_settings(
            database_url, redis_url, tmp_path, cors_origins=(f"http://127.0.0.1:{port}",)
        )
        with serving_gateway(settings) as served, running_chromium() as browser:
            served.do(lambda studio: sell_something(studio, served.url))
            context = browser.new_context()
            page = context.new_page()
            page.goto(f"http://127.0.0.1:{port}/")
            visit = page.evaluate(VISIT, [served.url, PASSWORD, picture])
            page.goto(f"http://localhost:{port}/")  # another origin, which the setting doesn't name
            refused = page.evaluate(REFUSED, served.url)
            context.close()
    assert visit["search"]["status"] == 200 and visit["search"]["body"]["results"]
    assert visit["search"]["id"] == "page-request" and visit["search"]["limit"]
    assert visit["wrong"]["status"] == 422 and visit["wrong"]["body"]["errors"]
    assert visit["wrong"]["id"] == visit["wrong"]["body"]["requestId"]
    assert visit["put"] == 201 and visit["done"]["body"]["status"] == "ready"
    assert visit["bytes"] == len(JPEG)
    assert refused == "TypeError"
