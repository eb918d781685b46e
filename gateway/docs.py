"""The OpenAPI document, and Swagger UI served from a package, without internet."""

import json
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from gateway.openapi import build_document

DOCS_PATH = "/api/docs"
OPENAPI_PATH = "/api/openapi.json"
ASSETS_PATH = "/api/docs/assets"
DOCS_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""Swagger UI starts with an inline script."""


def add_docs(app: FastAPI) -> None:
    """Adds the routes of the document, the page and its assets."""
    rendered: dict[str, bytes] = {}

    async def show_document(request: Request) -> Response:
        """Renders the document once; FastAPI would render it for every request, and it is large."""
        root = request.scope.get("root_path", "").rstrip("/")
        if root not in rendered:
            servers = {"servers": [{"url": root}]} if root else {}
            document = build_document(app) | servers
            rendered[root] = json.dumps(document, separators=(",", ":")).encode()
        return Response(rendered[root], media_type="application/json")

    async def show_docs(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "").rstrip("/")
        page = get_swagger_ui_html(
            openapi_url=root + OPENAPI_PATH,
            title=f"{app.title} · API",
            swagger_js_url=f"{root}{ASSETS_PATH}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{ASSETS_PATH}/swagger-ui.css",
            swagger_favicon_url=f"{root}{ASSETS_PATH}/favicon.png",
            swagger_ui_parameters={"persistAuthorization": True, "tryItOutEnabled": True},
        )
        page.headers["Content-Security-Policy"] = DOCS_POLICY
        return page

    folder = Path(str(files("fastapi_offline"))) / "static"
    app.mount(ASSETS_PATH, StaticFiles(directory=folder))
    app.add_route(OPENAPI_PATH, show_document, include_in_schema=False)
    app.add_route(DOCS_PATH, show_docs, include_in_schema=False)
