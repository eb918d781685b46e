"""The table of hostile addresses and names."""

from ipaddress import ip_address

import pytest

from integrations.addresses import is_public, is_public_name

HOSTILE = (
    "0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254 "
    "169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.170 192.0.2.1 "
    "192.31.196.1 192.52.193.1 192.88.99.1 192.168.0.1 192.168.255.255 192.175.48.1 198.18.0.1 "
    "198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 "
    "168.63.129.16 "
    ":: ::1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:169.254.169.254 ::127.0.0.1 ::ffff:0:127.0.0.1 "
    "64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::1 100::1 2001::1 2001:0:7f00:1:: 2001:10::1 "
    "2001:20::1 2001:db8::1 2002:7f00:1:: 2002:a9fe:a9fe::1 2620:4f:8000::1 3fff::1 5f00::1 "
    "fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1 ff0e::1 4000::1 "
)

PUBLIC = (
    "1.1.1.1 8.8.8.8 9.9.9.9 93.184.216.34 100.63.255.255 100.128.0.1 126.255.255.255 128.0.0.1 "
    "168.63.129.15 172.15.255.255 172.32.0.1 192.0.1.1 198.17.255.255 198.20.0.1 223.255.255.255 "
    "2606:4700:4700::1111 2a00:1450:4001:80b::200e 2001:4860:4860::8888 2003::1 "
)


@pytest.mark.parametrize("text", HOSTILE.split())
def test_hostile_addresses(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC.split())
def test_public_addresses(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize(
    "host",
    ["localhost", "metadata", "", ".", "a.", ".com", "a..com", "127.0.0.1", "127.1", "2130706433",
     "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "127.0.0.0x1", "1.1.1.1", "a.1",
     "a.0x", "a.0x1f", "[::1]", "::1", "-a.com", "a-.com", "exa mple.com", "a.com\n", "A.com",
     "ex_ample.c\u00f6m", "x" * 64 + ".com", "a." * 130 + "com", "a.com:80", "a@b.com"],
)  # fmt: skip
def test_what_is_no_public_name(host: str) -> None:
    assert not is_public_name(host)


@pytest.mark.parametrize(
    "host",
    ["example.com", "cdn-1.img.example.co.uk", "xn--bcher-kva.example", "a.b", "1.example.com"],
)
def test_public_names(host: str) -> None:
    assert is_public_name(host)
