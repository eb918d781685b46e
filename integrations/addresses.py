"""Which network addresses and host names are public."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address

LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?"
NAME = re.compile(rf"({LABEL}\.)+{LABEL}")
NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
MAX_NAME_CHARS = 253

# `is_global` differs between Python versions, and ignores addresses of clouds and tunnels.
REFUSED_V4 = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24",
        "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # Azure's wire server: a public address inside every machine
    )
)  # fmt: skip
UNICAST_V6 = ip_network("2000::/3")
REFUSED_V6 = tuple(
    ip_network(text)
    for text in (
        "2001::/23",  # Teredo, ORCHID, benchmarking: IETF protocol assignments
        "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
    )
)  # fmt: skip


def is_public(address: Address) -> bool:
    """Whether the studio may connect to this address to fetch a URL that a caller sent."""
    if isinstance(address, IPv4Address):
        listed = any(address in network for network in REFUSED_V4)
    else:
        # Mapped, compatible and translated IPv4 lie outside 2000::/3, as do local addresses.
        inside = address.scope_id is None and address in UNICAST_V6
        listed = not inside or any(address in network for network in REFUSED_V6)
    return address.is_global and not listed


def is_public_name(host: str) -> bool:
    """Whether it is a DNS name of several labels, and not an IP address in any notation."""
    if len(host) > MAX_NAME_CHARS or NAME.fullmatch(host) is None:
        return False
    # Many parsers read a name whose last label is a number as an IPv4 address.
    return NUMBER.fullmatch(host.rpartition(".")[2]) is None


def parse_addresses(texts: list[str]) -> list[Address]:
    """A resolver's answers as addresses, in order, without duplicates."""
    return [ip_address(text) for text in dict.fromkeys(texts)]
