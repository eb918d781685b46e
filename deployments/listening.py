"""Lets a restarted Gateway listen on its port at once, while old connections still die away."""

import asyncio
from typing import Any

from ray.serve._private import replica
from ray.serve._private.http_util import start_asgi_http_server


async def _start_reusing_address(
    app: Any, http_options: Any, *, event_loop: asyncio.AbstractEventLoop, **_: Any
) -> Any:
    return await start_asgi_http_server(
        app, http_options, event_loop=event_loop, enable_so_reuseport=True
    )


def reuse_address() -> None:
    """Ray 2.60 binds a replica's HTTP port without SO_REUSEADDR.

    After a crash or a restart with a browser still connected, the kernel would then refuse the
    port for a minute, and the replica would take the next one, where nobody looks for it. Serve
    has the switch, but no setting for it; so the function is wrapped where a replica calls it.
    """
    replica.start_asgi_http_server = _start_reusing_address  # type: ignore[attr-defined]
