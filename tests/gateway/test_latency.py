"""`GET /api/admin/latency`: the latencies of all Gateways, for admins."""

import httpx

from studio.ports import Studio
from tests.support.fakes import open_client, sign_in


async def test_admins_see_the_routes_of_all_gateways(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    admin = await sign_in(client, studio, "admin")
    async with open_client(studio) as other:  # another replica, which shares the cache
        for name in ("one", "two"):
            assert (await other.get(f"/api/catalog/products/{name}")).status_code == 404
        assert (await other.request("NONSENSE", "/api/nothing/here")).status_code == 404
    assert (await client.get("/api/auth/me", headers=admin)).status_code == 200
    answer = (await client.get("/api/admin/latency", headers=admin)).json()
    assert answer["windowS"] == 300
    routes = {(one["method"], one["route"]): one for one in answer["routes"]}
    missing = routes["GET", "/api/catalog/products/{product_id}"]
    assert (missing["requests"], missing["refused"], missing["errors"]) == (2, 2, 0)
    assert 0 < missing["p50"] <= missing["p95"] <= missing["p99"]
    assert routes["GET", "/api/auth/me"]["refused"] == 0
    assert routes["OTHER", "(no route)"]["requests"] == 1


async def test_only_for_admins(client: httpx.AsyncClient, studio: Studio) -> None:
    merchant = await sign_in(client, studio, "merchant")
    assert (await client.get("/api/admin/latency", headers=merchant)).status_code == 403
    assert (await client.get("/api/admin/latency")).status_code == 401
