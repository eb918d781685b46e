"""Each Gateway listens on its node's own loopback address, as on machines of their own.

Serve has one host for all nodes; on one machine their Gateways would share one port, and a balancer
could not tell them apart.
"""

from typing import Any

from starlette.middleware import Middleware

from deployments.serve import ingress

OWN_ADDRESS = f"{__name__}:middlewares"
"""For RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH: Serve calls it before a Gateway listens."""


def middlewares() -> list[Middleware]:
    """The product's layers; as a side effect, the server that is started next is moved."""
    from deployments.serve import patches

    start = vars(patches)["start_asgi_http_server"]

    async def start_at_own_address(app: Any, options: Any, **others: Any) -> Any:
        options = options.model_copy(update={"host": patches.node_address()})
        return await start(app, options, **others)

    patches._patch(patches, "start_asgi_http_server", start_at_own_address)
    return ingress.middlewares()
