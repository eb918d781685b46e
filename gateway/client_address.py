"""Finds the network address of a request's client; trusts only the configured proxies."""

from collections.abc import Iterable
from ipaddress import ip_network

from starlette.datastructures import Headers
from starlette.types import Scope

from studio.accounts.client_network import Address, parse_address

UNKNOWN = "unknown"


def parse_hop(text: str) -> Address | None:
    """Parses a hop: `1.2.3.4`, `1.2.3.4:5678`, `2001:db8::1` or `[2001:db8::1]:443`."""
    text = text.strip()
    if text.startswith("["):
        return parse_address(text[1:].partition("]")[0])
    return parse_address(text.partition(":")[0] if text.count(":") == 1 else text)


class ClientAddress:
    """Finds the client: the peer, or the address that the trusted proxies report.

    It reads only `X-Forwarded-For`, to which every proxy appends the address of its peer; many
    proxies pass on other such headers (`Forwarded`, `X-Real-IP`, ...) unchanged.
    """

    def __init__(self, trusted_proxies: Iterable[str]) -> None:
        self._trusted = [ip_network(proxy, strict=False) for proxy in trusted_proxies]

    def is_trusted(self, address: Address) -> bool:
        """Whether the address is one of the configured proxies."""
        return any(address in network for network in self._trusted)

    def of(self, scope: Scope) -> str:
        """The right-most address of the chain that is not a trusted proxy."""
        peer = parse_address((scope.get("client") or (UNKNOWN, 0))[0])
        if peer is None:
            return UNKNOWN
        if not self._trusted or not self.is_trusted(peer):
            return str(peer)
        forwarded = ",".join(Headers(scope=scope).getlist("x-forwarded-for"))
        for hop in reversed(forwarded.split(",")):
            address = parse_hop(hop)
            if address is None:
                break
            peer = address
            if not self.is_trusted(address):
                break
        return str(peer)
