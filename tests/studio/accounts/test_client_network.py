"""Which addresses share a limit."""

from ipaddress import ip_address

from studio.accounts.client_network import limit_key, parse_address


def test_one_ipv6_network_is_one_caller() -> None:
    assert limit_key("2001:db8:1:2:3::4") == limit_key("2001:db8:1:2:ffff::1")
    assert limit_key("2001:db8:1:2::1") != limit_key("2001:db8:1:3::1")
    assert limit_key("192.0.2.1") == "192.0.2.1"


def test_ipv4_inside_of_ipv6_is_ipv4() -> None:
    assert parse_address(" ::ffff:192.0.2.1 ") == ip_address("192.0.2.1")
    assert parse_address("not an address") is None
