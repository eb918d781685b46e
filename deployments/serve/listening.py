"""Where replicas listen: Ray Serve 2.60 leaves things open that only code can close.

Serve has the switches but no settings for them, so functions are wrapped where a replica
calls them. Every deployment's constructor does that first; it runs before the replica listens.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import ray
from ray._common.tls_utils import add_port_to_grpc_server
from ray.serve._private import replica
from ray.serve._private.http_util import start_asgi_http_server

ANYWHERE = "[::]:"


def listen_privately() -> None:
    """Calls between replicas arrive at the node's own address, which is loopback on one machine.

    Serve binds every interface, and what arrives there is unpickled.
    """
    replica.add_port_to_grpc_server = _add_private_port  # type: ignore[attr-defined]


def reuse_address() -> None:
    """A restarted Gateway listens on its port while old connections still die away.

    Serve binds without SO_REUSEADDR: after a crash or a restart with a browser still connected,
    the kernel would refuse the port for a minute, and the replica would take the next one, where
    nobody looks for it.
    """
    replica.start_asgi_http_server = _start_reusing_address  # type: ignore[attr-defined]


def on_drain(tell: Callable[[], None]) -> None:
    """Calls `tell` in the replica's event loop when it begins to drain; Serve has no hook for it.

    A stream that only ends with its job would hold the replica until it is killed.
    """
    original = replica.Replica._perform_graceful_shutdown

    async def tell_and_shut_down(self: Any) -> None:
        tell()
        await original(self)  # type: ignore[no-untyped-call]

    replica.Replica._perform_graceful_shutdown = tell_and_shut_down  # type: ignore[method-assign]


def node_address() -> str:
    """Where the other nodes (or, on one machine, the other processes) reach this one."""
    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]


def _add_private_port(server: Any, address: str) -> int:
    if address.startswith(ANYWHERE):
        address = f"{node_address()}:{address.removeprefix(ANYWHERE)}"
    return int(add_port_to_grpc_server(server, address))  # type: ignore[no-untyped-call]


async def _start_reusing_address(
    app: Any, http_options: Any, *, event_loop: asyncio.AbstractEventLoop, **_: Any
) -> Any:
    return await start_asgi_http_server(
        app, http_options, event_loop=event_loop, enable_so_reuseport=True
    )
