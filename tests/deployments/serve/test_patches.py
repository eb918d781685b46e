"""Every private name that the studio takes from Ray and uvicorn is there, or a test names it."""

import ast
import importlib
import inspect
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from settings import PROJECT_ROOT

PATCHES = PROJECT_ROOT / "deployments" / "serve" / "patches.py"
REPLACED = (
    "ray.serve._private.replica.add_port_to_grpc_server",
    "ray.serve._private.replica.start_asgi_http_server",
    "ray.serve._private.replica.Replica._perform_graceful_shutdown",
    "uvicorn.protocols.http.auto.AutoHTTPProtocol",
)
CALLED = (
    "ray._common.tls_utils.add_port_to_grpc_server",
    "ray._private.authentication.authentication_utils.is_token_auth_enabled",
    "ray.serve._private.http_util.start_asgi_http_server",
    "ray.serve._private.tracing_utils.is_tracing_enabled",
    "ray.serve._private.tracing_utils.setup_tracing",
    "ray.serve.context._get_serve_request_context",
    "ray.serve.context._serve_request_context",
    "ray.serve._private.router.AsyncioRouter.request_router",
    "ray.serve._private.request_router.request_router.RequestRouter.curr_replicas",
)
EXTENDED = tuple(
    f"uvicorn.protocols.http.httptools_impl.HttpToolsProtocol.{name}"
    for name in (
        "connection_made", "connection_lost", "data_received", "on_message_begin", "on_header",
        "on_headers_complete", "on_body", "on_message_complete", "handle_websocket_upgrade",
        "send_400_response", "on_response_complete", "_unset_keepalive_if_required",
        "_start_asgi_task",
    )
)  # fmt: skip
PARAMETERS = {
    "ray.serve._private.http_util.start_asgi_http_server": {"event_loop", "enable_so_reuseport"},
    "ray.serve._private.tracing_utils.setup_tracing": {"component_name", "component_id"},
    "uvicorn.protocols.http.httptools_impl.RequestResponseCycle": {
        "scope", "transport", "flow", "logger", "access_logger", "access_log", "default_headers",
        "message_event", "expect_100_continue", "keep_alive", "on_response",
    },
}  # fmt: skip


def resolve(name: str) -> Any:
    """The object of a dotted name.

    Raises:
        AttributeError: the name is gone from the pinned version.
    """
    parts = name.split(".")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what Ray Serve imports
        for length in range(len(parts) - 1, 0, -1):
            try:
                owner: Any = importlib.import_module(".".join(parts[:length]))
            except ModuleNotFoundError:
                continue
            for part in parts[length:]:
                owner = getattr(owner, part)
            return owner
    raise AttributeError(name)


@pytest.mark.parametrize("name", [*REPLACED, *CALLED, *EXTENDED])
def test_the_private_name_is_in_the_pinned_version(name: str) -> None:
    resolve(name)


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_private_function_takes_these_parameters(name: str) -> None:
    assert PARAMETERS[name] <= set(inspect.signature(resolve(name)).parameters)


def test_a_replica_still_calls_what_is_replaced() -> None:
    """Replacing a name in a module changes nothing once the module stops to look it up there."""
    source = inspect.getsource(resolve("ray.serve._private.replica"))
    for name in ("add_port_to_grpc_server", "start_asgi_http_server"):
        assert re.search(rf"(?<![.\w]){name}\(", source), name
    assert "self._perform_graceful_shutdown()" in source
    assert "uvicorn.protocols.http.auto:AutoHTTPProtocol" in inspect.getsource(
        importlib.import_module("uvicorn.config")
    )


def private_names(path: Path) -> set[str]:
    """Names of Ray and uvicorn that a file imports from a private module, or as private ones."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {
        name for name in names if re.match(r"ray\.(\w+\.)*_|uvicorn\.protocols\.http\.auto", name)
    }


@pytest.mark.parametrize(
    "path",
    sorted(
        path
        for room in ("deployments", "jobs", "gateway", "studio", "cli", "local")
        for path in (PROJECT_ROOT / room).rglob("*.py")
    ),
    ids=lambda path: str(path.relative_to(PROJECT_ROOT)),
)
def test_private_names_of_ray_are_in_two_files(path: Path) -> None:
    """`local/` is below `deployments/` and has its own function, which its own test holds."""
    if path.relative_to(PROJECT_ROOT).as_posix() == "local/cluster.py":
        return
    assert bool(private_names(path)) == (path == PATCHES), private_names(path)


def test_every_name_of_the_patches_is_tested() -> None:
    source = PATCHES.read_text()
    tested = {*REPLACED, *CALLED}
    for name in private_names(PATCHES) - tested:  # a module, of which some names are used
        module = name.rsplit(".", 1)[-1]
        used = re.findall(rf"\b{module}\.(\w+)", source)
        patched = re.findall(rf'_patch\({module}(?:\.\w+)?, "(\w+)"', source)
        assert used or patched, name
        for part in {*used, *patched} - {"Replica"}:
            assert any(full.startswith(name) and full.endswith(f".{part}") for full in tested), (
                f"{name}.{part}"
            )


@pytest.fixture
def patches() -> Any:
    """The module, imported here: where a name is gone, the tests above say which."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what Ray Serve imports
        return importlib.import_module("deployments.serve.patches")


def test_a_patch_of_a_name_that_is_gone_raises(patches: Any) -> None:
    serve_replica = resolve("ray.serve._private.replica")
    with pytest.raises(AttributeError, match="no_such_name"):
        patches._patch(serve_replica, "no_such_name", None)


def test_replicas_listen_at_the_address_of_their_node(
    patches: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_replica = resolve("ray.serve._private.replica")
    ports: list[str] = []

    def add_port(_: Any, address: str) -> int:
        ports.append(address)
        return 1

    monkeypatch.setattr(patches, "add_port_to_grpc_server", add_port)
    monkeypatch.setattr(patches, "node_address", lambda: "192.0.2.1")
    monkeypatch.setattr(serve_replica, "add_port_to_grpc_server", add_port)
    patches.prepare_replica()
    serve_replica.add_port_to_grpc_server(None, "[::]:0")
    serve_replica.add_port_to_grpc_server(None, "127.0.0.1:7000")
    assert ports == ["192.0.2.1:0", "127.0.0.1:7000"]


async def test_the_ingress_reuses_its_port_and_limits_heads(
    patches: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from deployments.serve.head_limits import HeadLimitProtocol

    serve_replica = resolve("ray.serve._private.replica")
    auto = resolve("uvicorn.protocols.http.auto")
    options: dict[str, Any] = {}

    async def start(*_: Any, **keywords: Any) -> None:
        options.update(keywords)

    monkeypatch.setattr(patches, "start_asgi_http_server", start)
    monkeypatch.setattr(serve_replica, "start_asgi_http_server", start)
    monkeypatch.setattr(auto, "AutoHTTPProtocol", None)
    patches.prepare_ingress(HeadLimitProtocol)
    starting: Any = serve_replica.start_asgi_http_server
    await starting(None, None, event_loop=None, enable_so_reuseport=False)
    assert options["enable_so_reuseport"] is True
    assert auto.AutoHTTPProtocol is HeadLimitProtocol


async def test_draining_is_announced_before_the_replica_shuts_down(
    patches: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    serve_replica = resolve("ray.serve._private.replica")
    calls: list[str] = []

    async def shut_down(_: Any) -> None:
        calls.append("shut down")

    monkeypatch.setattr(serve_replica.Replica, "_perform_graceful_shutdown", shut_down)
    patches.call_when_draining(lambda: calls.append("drain"))
    ending: Any = serve_replica.Replica._perform_graceful_shutdown
    await ending(None)
    assert calls == ["drain", "shut down"]
