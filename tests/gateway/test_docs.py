"""The documents of the API, and the gateway behind a real server."""

import asyncio
import re
import socket
from typing import Any

import httpx
import uvicorn

from gateway.app import create_app
from studio.ports import Studio


async def test_swagger_needs_no_internet(client: httpx.AsyncClient) -> None:
    page = await client.get("/api/docs")
    assert page.status_code == 200
    links = re.findall(r"""(?:src|href)=["']([^"']+)""", page.text)
    assert len(links) == 3
    for link in links:
        assert link.startswith("/api/docs/assets/")
        asset = await client.get(link)
        assert asset.status_code == 200
        assert len(asset.content) > 1000
    assert "https://" not in page.text


async def test_the_openapi_document(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/openapi.json")).json()
    assert document["openapi"].startswith("3.")
    schemes = document["components"]["securitySchemes"]
    flow = next(iter(schemes.values()))["flows"]["password"]
    assert flow["tokenUrl"] == "/api/auth/login"
    assert "/api/files/presign" in document["paths"]
    presign = document["components"]["schemas"]["UploadForm"]["properties"]
    assert set(presign) == {"filename", "contentType", "sizeBytes", "purpose"}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            answers = operation["responses"]
            assert {"429", "4XX", "503", "5XX"} <= set(answers), (method, path)
            assert (operation.get("security") is not None) == ("401" in answers), (method, path)
            errors = [answer for status, answer in answers.items() if status[0] in "45"]
            assert all(is_described(document, answer) for answer in errors), (method, path)


def is_described(document: dict[str, Any], answer: dict[str, Any]) -> bool:
    """Whether an error answer is a component, or has a schema of its own."""
    if "$ref" not in answer:
        return "content" in answer
    name = answer["$ref"].removeprefix("#/components/responses/")
    content = document["components"]["responses"][name]["content"]
    return bool(content["application/problem+json"]["schema"]["$ref"].endswith("/Problem"))


async def test_operations_have_names_and_sentences(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/openapi.json")).json()
    operations = [one for methods in document["paths"].values() for one in methods.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    for operation in operations:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", operation["operationId"])
        summary = operation["summary"]
        assert summary[0].isupper() and " " in summary and "\n" not in summary, summary
        assert not summary.endswith(".") and len(summary) <= 120, summary
        assert not operation.get("description", "x").startswith(summary)


async def test_under_a_real_server(studio: Studio) -> None:
    """Broken connections and chunked bodies exist only with a real server."""
    config = uvicorn.Config(create_app(studio), log_config=None, ws="none")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        try:
            await talk_to(port)
        finally:
            server.should_exit = True
            await task


async def talk_to(port: int) -> None:
    """Sends a few requests, among them an upload that stops in the middle."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        live = await client.get("/api/health/live", headers={"X-Request-ID": "real-server-1"})
        assert live.headers["x-request-id"] == "real-server-1"
        big = await client.post("/api/auth/register", content=b"x" * 1_000_001)
        assert big.status_code == 413
        assert big.headers["content-type"] == "application/problem+json"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /api/auth/register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000\r\n\r\n{"
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert reader is not None
        user = {"email": "a@example.com", "password": "correct-horse-battery"}
        assert (await client.post("/api/auth/register", json=user)).status_code == 201
