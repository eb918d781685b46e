"""A gateway with some of its layers left out, in a process of its own, over the tests' fakes.

    python -m tests.support.gateway_variants prepare JSON   a merchant, ten products
    python -m tests.support.gateway_variants VARIANT JSON    serves one variant until it is ended

`benchmarks.serving.gateway_cost` starts it: the benchmark itself imports nothing from the tests.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import uvicorn
from fastapi import FastAPI

import gateway.app
from gateway.client_address import ClientAddress
from gateway.deps import CurrentUser, find_user
from gateway.envelope import Envelope
from gateway.limits import RateLimit
from settings import Settings
from tests.gateway.resources import open_account, put_product
from tests.support.fakes import make_settings, open_client, open_studio

BARE, WITH_LIMITS, WHOLE = "bare", "ids, log, limits", "all: with auth"


def settings_of(environment: dict[str, str]) -> Settings:
    """Settings without rate limits."""
    return make_settings(
        environment["database"], environment["redis"], Path(environment["folder"]),
        limit_search=10**9, limit_default=10**9,
    )  # fmt: skip


async def prepare(environment: dict[str, str]) -> dict[str, str]:
    """`token`, `user` and `products` of a studio with ten products."""
    settings = settings_of(environment)
    async with open_studio(settings) as studio, open_client(studio) as client:
        merchant = await open_account(client, studio, "merchant")
        products = [await put_product(client, merchant) for _ in range(10)]
    token = merchant.headers["Authorization"].removeprefix("Bearer ")
    return {"token": token, "user": str(merchant.id), "products": " ".join(products)}


class NoTokens:
    """Knows no token: every caller is a stranger."""

    async def identify(self, token: str) -> None:
        return None


async def serve(variant: str, environment: dict[str, str]) -> None:
    """Serves one variant on the given port."""
    user = CurrentUser(UUID(environment["user"]), "a@example.com", None, "customer", 0, uuid4())

    async def signed_in() -> CurrentUser:
        return user

    def add_layers(app: FastAPI, observers: Any) -> None:
        if variant == WITH_LIMITS:
            strangers: Any = NoTokens()
            limits = app.state.resources.limits
            app.add_middleware(RateLimit, limits=limits, credentials=strangers)
        if variant != BARE:
            app.add_middleware(Envelope, client_address=ClientAddress(()), observers=observers)
        app.dependency_overrides[find_user] = signed_in

    async with open_studio(settings_of(environment)) as studio:
        for product_id in environment["products"].split():
            vector = (await studio.embedder.embed_text(f"red dress {product_id}")).vector
            studio.index.put(product_id, vector)  # type: ignore[attr-defined]
        if variant != WHOLE:
            gateway.app.add_layers = add_layers
        config = uvicorn.Config(
            gateway.app.create_app(studio), host="127.0.0.1", port=int(environment["port"]),
            log_config=None, access_log=False, proxy_headers=False,
        )  # fmt: skip
        await uvicorn.Server(config).serve()


def main() -> None:
    """Reads the command line."""
    variant, environment = sys.argv[1], json.loads(sys.argv[2])
    if variant == "prepare":
        print(json.dumps(asyncio.run(prepare(environment))))  # noqa: T201
        return
    with Path(os.devnull).open("w") as nowhere:
        sys.stderr = nowhere  # log lines cost what they cost, but nobody reads them
        asyncio.run(serve(variant, environment))


if __name__ == "__main__":
    main()
