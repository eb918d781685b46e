"""Every private name of Ray and uvicorn that the deployments use, and the patches of them.

Ray Serve 2.60 has no settings for these behaviours. `tests/deployments/serve/test_patches.py` fails
and names the missing name when a new version of Ray or uvicorn lacks one of them.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ray
from ray._common.tls_utils import add_port_to_grpc_server
from ray._private.authentication.authentication_utils import is_token_auth_enabled
from ray.serve import context
from ray.serve._private import replica, tracing_utils
from ray.serve._private.http_util import start_asgi_http_server
from uvicorn.protocols.http import auto

ANY_ADDRESS = "[::]:"

__all__ = [
    "call_when_draining",
    "has_no_replica",
    "is_token_auth_enabled",
    "prepare_ingress",
    "prepare_replica",
    "read_request_id",
    "reuse_port",
    "trace_process",
    "write_request_id",
]


def has_no_replica(method: Any) -> bool:
    """Whether Serve knows no running replica of the deployment whose method this is."""
    router = getattr(method, "_router", None)
    requests = router._asyncio_router.request_router if router is not None else None
    return requests is not None and not requests.curr_replicas


def prepare_replica() -> None:
    """Makes this replica listen for calls of other replicas at the node's own address only.

    On one machine that is loopback. Serve binds every interface, and it unpickles what arrives
    there. The patch must be in place before the replica's constructor has returned, because the
    replica listens afterwards.
    """
    _patch(replica, "add_port_to_grpc_server", _add_private_port)


def prepare_ingress(protocol: type[asyncio.Protocol]) -> None:
    """Makes the HTTP server that this replica starts reuse its port and parse by `protocol`.

    `protocol` is a subclass of uvicorn's HTTP/1.1 protocol; Serve has no setting for it.
    """
    reuse_port()
    _patch(auto, "AutoHTTPProtocol", protocol)


def reuse_port() -> None:
    """Makes the HTTP server that this replica starts bind its port with SO_REUSEPORT.

    Without it the kernel refuses the port for a minute after a crash, or after a restart while a
    browser is connected; the replica would listen on the next port, where no caller looks for it.
    """
    _patch(replica, "start_asgi_http_server", _start_on_reused_port)


def call_when_draining(callback: Callable[[], None]) -> None:
    """Calls `callback` in the replica's event loop when the replica begins to drain.

    A stream that ends only with its job would otherwise hold the replica until Serve kills it.
    """
    shut_down = replica.Replica._perform_graceful_shutdown

    async def call_and_shut_down(self: Any) -> None:
        callback()
        await shut_down(self)  # type: ignore[no-untyped-call]

    _patch(replica.Replica, "_perform_graceful_shutdown", call_and_shut_down)


def read_request_id() -> str:
    """The id of the request whose call this task serves; empty outside of a call."""
    return str(context._get_serve_request_context().request_id)


def write_request_id(request_id: str) -> None:
    """Sends this id along with the next calls of this task."""
    current = context._get_serve_request_context()
    if current.request_id != request_id:
        context._serve_request_context.set(replace(current, request_id=request_id))  # type: ignore[arg-type]


def trace_process(name: str) -> None:
    """Sets tracing up in a process that is no replica; Serve does it in its own processes only."""
    if not tracing_utils.is_tracing_enabled():
        tracing_utils.setup_tracing(component_name=name, component_id=str(os.getpid()))


def node_address() -> str:
    """The address at which other nodes (on one machine: other processes) reach this node."""
    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]


def _patch(owner: Any, name: str, replacement: object) -> None:
    """Replaces an existing attribute.

    Raises:
        AttributeError: there is no such attribute; setting it would silently have no effect.
    """
    getattr(owner, name)
    setattr(owner, name, replacement)


def _add_private_port(server: Any, address: str) -> int:
    if address.startswith(ANY_ADDRESS):
        address = f"{node_address()}:{address.removeprefix(ANY_ADDRESS)}"
    return int(add_port_to_grpc_server(server, address))  # type: ignore[no-untyped-call]


async def _start_on_reused_port(
    app: Any, http_options: Any, *, event_loop: asyncio.AbstractEventLoop, **_: Any
) -> Any:
    return await start_asgi_http_server(
        app, http_options, event_loop=event_loop, enable_so_reuseport=True
    )
