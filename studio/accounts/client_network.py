"""Decides which network addresses share a rate limit."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address


def parse_address(text: str) -> Address | None:
    """The address; an IPv4 address that is mapped into IPv6 becomes IPv4. None if invalid."""
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def limit_key(address: str) -> str:
    """The key of an address's limits: an IPv4 address, or the IPv6 /64 of one customer."""
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, 64), strict=False))
    return address
