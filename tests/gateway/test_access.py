"""Every route declares who may call it, and refuses all others."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from gateway.app import create_app
from gateway.deps import (
    PERMISSIONS,
    allow_everyone,
    find_user,
    require_admin,
    require_customer,
    require_merchant,
)
from studio.ports import Studio
from tests.support.fakes import sign_in

RANKS = {require_customer: 1, require_merchant: 2, require_admin: 3}


def calls(dependant: Dependant) -> Iterator[Any]:
    """Every function that a route depends on."""
    for inner in dependant.dependencies:
        yield inner.call
        yield from calls(inner)


def routes(studio: Studio) -> list[tuple[str, str, set[Any]]]:
    """(method, path, permissions) of every route of the API."""
    entries = []
    for context in iter_route_contexts(create_app(studio).routes):
        if isinstance(context.original_route, APIRoute):
            permissions = set(calls(context.dependant)) & PERMISSIONS
            for method in sorted(context.methods or ()):
                entries.append((method, str(context.path), permissions))
    return entries


def test_every_route_declares_its_permission(studio: Studio) -> None:
    entries = routes(studio)
    assert len(entries) > 15
    assert [(method, path) for method, path, permissions in entries if not permissions] == []


def test_only_these_routes_are_public(studio: Studio) -> None:
    public = {path for _, path, permissions in routes(studio) if permissions == {allow_everyone}}
    assert public == {
        "/api/auth/register",
        "/api/auth/login",
        "/api/auth/refresh",
        "/api/auth/oidc/login",
        "/api/auth/oidc/callback",
        "/api/auth/oidc/session",
        "/api/health",
        "/api/health/live",
        "/api/health/ready",
        "/api/health/{service}",
        "/api/catalog/products",
        "/api/catalog/products/{product_id:path}",
        "/api/paypal/webhook",
        "/api/search/suggest",
        "/blobs/{key:path}",
    }


@pytest.mark.parametrize("role", [None, "customer", "merchant", "admin"])
async def test_roles_open_what_they_should(
    client: httpx.AsyncClient, studio: Studio, role: str | None
) -> None:
    headers = await sign_in(client, studio, role) if role else {}
    have = {None: 0, "customer": 1, "merchant": 2, "admin": 3}[role]
    for method, path, permissions in routes(studio):
        need = max((RANKS.get(permission, 0) for permission in permissions), default=0)
        if path == "/api/auth/logout":
            continue
        filled = path.replace("{file_id}", "00000000-0000-0000-0000-000000000000")
        filled = filled.replace("{user_id}", "00000000-0000-0000-0000-000000000000")
        answer = await client.request(method, filled, headers=headers)
        if need > have:
            expected = 401 if role is None else 403
            assert answer.status_code == expected, (method, path, answer.text)
        elif find_user in permissions:
            assert answer.status_code not in (401, 403), (method, path, answer.text)
