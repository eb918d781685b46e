"""The compiled routes of one application, used by all applications of a test run."""

from fastapi import FastAPI
from starlette.routing import BaseRoute

_compiled: list[BaseRoute] = []


def share_routes(app: FastAPI) -> FastAPI:
    """Replaces the included routers by those of the first application.

    FastAPI compiles the routes of an included router at the first request, which takes 60 ms for
    all of them. The routers are the same in every application, and a request brings its own.
    """
    routes = app.router.routes
    if not _compiled:
        _compiled.extend(routes)
    for place, (own, shared) in enumerate(zip(routes, _compiled, strict=True)):
        router = getattr(own, "original_router", None)
        if router is not None and router is getattr(shared, "original_router", None):
            routes[place] = shared
    return app
