"""The seed's topology, to compare with: a gateway that proxies to a separate rec-svc over HTTP.

The gateway is the studio's own `create_app`; only its ports are other ones: one keep-alive client
and a rec-svc under uvicorn that holds model and index, embeds one picture at a time in a thread
beside the event loop, and answers ids. Both read `STUDIO_*` as the studio does.

    python -m benchmarks.serving.seed_topology rec-svc PORT
    python -m benchmarks.serving.seed_topology gateway PORT REC_SVC_PORT
"""

import asyncio
import base64
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Any

import httpx
import numpy as np
import uvicorn
from fastapi import FastAPI, Request

from benchmarks.serving.topology import live_index, make_parts
from deployments.profile import embedder_config
from errors import StudioError, Unavailable
from gateway.app import create_app
from models.embedder.embedder import load
from models.embedder.shapes import Embedding
from models.index.catalogue_values import NO_VALUES, CatalogueValues
from models.index.shapes import Filters, SearchAnswer, SearchQuery
from settings import load_settings

Json = dict[str, Any]


def to_json(query: SearchQuery) -> Json:
    """A query as the gateway sends it: vectors and sets as lists, the picture in base64."""
    document = asdict(query)
    if query.picture is not None:
        document["picture"] = base64.b64encode(query.picture).decode()
    for side in ("image", "text"):
        document[side] = None if document[side] is None else document[side].tolist()
    document["exclude"] = sorted(query.exclude)
    document["filters"] = {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in document["filters"].items()
    }
    return document


def from_json(document: Json) -> SearchQuery:
    """The inverse of `to_json`."""
    filters: Json = {
        name: frozenset(value) if isinstance(value, list) else value
        for name, value in document.pop("filters").items()
    }
    for side in ("image", "text"):
        if document[side] is not None:
            document[side] = np.array(document[side], np.float32)
    exclude = frozenset(document.pop("exclude"))
    if document["picture"] is not None:
        document["picture"] = base64.b64decode(document["picture"])
    return SearchQuery(**document, filters=Filters(**filters), exclude=exclude)


def rec_svc() -> FastAPI:
    """Model and index behind `POST /search`."""
    settings = load_settings()
    model = load(embedder_config(settings))
    model.warm_up()
    thread = ThreadPoolExecutor(1)
    index_thread = ThreadPoolExecutor(1)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with live_index(settings, index_thread) as live:
            app.state.live = live
            yield

    app = FastAPI(lifespan=lifespan)

    def embed_picture(image: bytes) -> Any:
        return model.embed_images([model.reader.read(image)])[0]

    @app.get("/version")
    async def version() -> Json:
        return {"version": model.version}

    @app.post("/search")
    async def search(request: Request) -> Json:
        query, text = from_json(await request.json()), None
        loop = asyncio.get_running_loop()
        if query.picture is not None:
            image = await loop.run_in_executor(thread, embed_picture, query.picture)
            query = replace(query, embedder_version=model.version, image=image, picture=None)
        if query.words is not None:
            text = (await loop.run_in_executor(thread, model.embed_texts, [query.words]))[0]
            query = replace(query, embedder_version=model.version, text=text, words=None)
        answer = await app.state.live.search(query)
        vector = None if text is None else text.tolist()
        return {"version": answer.index_version, "hits": answer.hits, "text": vector}

    return app


class RecService:
    """`studio.ports.Embedder` and `Index` over HTTP."""

    def __init__(self, port: int) -> None:
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", limits=httpx.Limits(max_keepalive_connections=64)
        )
        self._version: str | None = None

    async def embed_image(self, image: bytes) -> Embedding:
        raise Unavailable("this benchmark only searches")

    async def embed_images(self, images: Sequence[bytes]) -> list[Embedding | StudioError]:
        raise Unavailable("this benchmark only searches")

    async def embed_text(self, text: str) -> Embedding:
        raise Unavailable("this benchmark only searches")

    async def embed_texts(self, texts: Sequence[str]) -> list[Embedding]:
        raise Unavailable("this benchmark only searches")

    async def version(self) -> str:
        if self._version is None:
            self._version = str((await self._client.get("/version")).json()["version"])
        return self._version

    async def search(self, query: SearchQuery) -> SearchAnswer:
        answer = await self._ask(to_json(query))
        text = None if answer["text"] is None else np.array(answer["text"], np.float32)
        hits = [(product_id, score) for product_id, score in answer["hits"]]
        return SearchAnswer(answer["version"], hits, await self.version(), text)

    async def _ask(self, document: Json) -> Json:
        answer = await self._client.post("/search", json=document)
        answer.raise_for_status()
        body: Json = answer.json()
        return body


class RecIndex:
    """The same service, for queries whose vectors are known."""

    def __init__(self, service: RecService) -> None:
        self._service = service

    async def search(self, query: SearchQuery) -> SearchAnswer:
        return await self._service.search(query)

    async def status(self) -> Mapping[str, object]:
        return {"version": None}

    async def complete(self, phrase: str, most: int) -> list[str]:
        return []

    async def catalogue_values(self) -> CatalogueValues:
        return NO_VALUES


async def gateway(port: int, rec_port: int) -> None:
    """The studio's HTTP side in front of the rec-svc."""
    service = RecService(rec_port)
    await serve(create_app(make_parts(load_settings(), service, RecIndex(service))), port)


async def serve(app: FastAPI, port: int) -> None:
    """Uvicorn at its fastest: uvloop, httptools, no access log."""
    config = uvicorn.Config(
        app, port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )
    await uvicorn.Server(config).serve()


def main() -> None:
    """One of the two services."""
    import uvloop

    if sys.argv[1] == "rec-svc":
        uvloop.run(serve(rec_svc(), int(sys.argv[2])))
    else:
        uvloop.run(gateway(int(sys.argv[2]), int(sys.argv[3])))


if __name__ == "__main__":
    main()
