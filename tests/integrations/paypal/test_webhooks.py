"""Whose events are believed: PayPal's own, untouched, and nobody else's."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from errors import UpstreamFailed
from integrations.paypal.account import LIVE, SANDBOX
from integrations.paypal.paypal import PayPal
from integrations.paypal.webhooks import ForgedEvent, WebhookVerifier, read_roots
from local.paypal.signing import Signer, begin
from tests.support.simulator import Simulator

BODY = b'{"id": "WH-1", "event_type": "CHECKOUT.ORDER.APPROVED", "resource": {"id": "O-1"}}'


@pytest.fixture
def verifier(paypal: PayPal) -> WebhookVerifier:
    return WebhookVerifier(paypal)


@pytest.fixture
def signed(simulator: Simulator) -> dict[str, str]:
    """The headers of a genuine transmission, with lower-case names."""
    headers = simulator.app.state.paypal.delivery.sign(BODY)
    return {name.lower(): value for name, value in headers.items()}


async def test_true_ones_are_believed(verifier: WebhookVerifier, signed: dict[str, str]) -> None:
    for _ in range(2):
        await verifier.verify(signed, BODY)


@pytest.mark.parametrize("offset", range(0, len(BODY), 7))
async def test_a_changed_body_is_refused(
    verifier: WebhookVerifier, signed: dict[str, str], offset: int
) -> None:
    changed = bytearray(BODY)
    changed[offset] ^= 1
    with pytest.raises(ForgedEvent):
        await verifier.verify(signed, bytes(changed))


ELSEWHERE = (
    "https://evil.example/v1/notifications/certs/CERT",
    "http://127.0.0.1:{port}@evil.example/v1/notifications/certs/CERT",
    "http://evil.example/v1/notifications/certs/CERT?x=http://127.0.0.1:{port}",
    "http://127.0.0.1:{port}/other/CERT",
    "http://127.0.0.1:{port}/v1/notifications/certs/../../../checkoutnow",
    "http://127.0.0.1:{port}/v1/notifications/certs/CERT?next=1",
    "https://127.0.0.1:{port}/v1/notifications/certs/CERT",
    "http://127.0.0.1:1{port}/v1/notifications/certs/CERT",
    "http://localhost:{port}/v1/notifications/certs/CERT",
    "http://127.0.0.1.evil.example:{port}/v1/notifications/certs/CERT",
    "file:///etc/passwd", "//127.0.0.1:{port}/v1/notifications/certs/CERT", "x",
)  # fmt: skip


@pytest.mark.parametrize("url", ELSEWHERE)
async def test_certificates_come_from_paypal_alone(
    verifier: WebhookVerifier, signed: dict[str, str], simulator: Simulator, url: str
) -> None:
    place = url.format(port=simulator.port)
    with pytest.raises(ForgedEvent):
        await verifier.verify(signed | {"paypal-cert-url": place}, BODY)


CHANGES: list[tuple[str, str]] = [
    ("paypal-transmission-id", "another-id"),
    ("paypal-transmission-time", "2020-01-01T00:00:00Z"),
    ("paypal-transmission-time", datetime.now(UTC).isoformat()),
    ("paypal-transmission-time", (datetime.now(UTC) + timedelta(days=1)).isoformat()),
    ("paypal-transmission-time", "2026-01-01T00:00:00"),
    ("paypal-transmission-time", "yesterday"),
    ("paypal-transmission-sig", "AAAA"),
    ("paypal-transmission-sig", "no base64 at all"),
    ("paypal-auth-algo", "SHA1withRSA"),
    ("paypal-auth-algo", "none"),
]


# Numbered, since two processes that run the tests must give them the same names.
@pytest.mark.parametrize(("name", "value"), CHANGES, ids=range(len(CHANGES)))
async def test_changed_headers_are_refused(
    verifier: WebhookVerifier, signed: dict[str, str], name: str, value: str
) -> None:
    with pytest.raises(ForgedEvent):
        await verifier.verify(signed | {name: value}, BODY)


async def test_missing_and_endless_headers_are_refused(
    verifier: WebhookVerifier, signed: dict[str, str]
) -> None:
    for name in [name for name in signed if name.startswith("paypal-")]:
        with pytest.raises(ForgedEvent):
            await verifier.verify({**signed, name: ""}, BODY)
        with pytest.raises(ForgedEvent):
            await verifier.verify({**signed, name: "x" * 2000}, BODY)
    with pytest.raises(ForgedEvent):
        await verifier.verify({}, BODY)


async def test_another_webhooks_event_is_refused(
    simulator: Simulator, paypal: PayPal, signed: dict[str, str]
) -> None:
    paypal.account = replace(paypal.account, webhook_id="WHOTHER")
    with pytest.raises(ForgedEvent):
        await WebhookVerifier(paypal).verify(signed, BODY)


def self_signed(name: str) -> tuple[Any, bytes]:
    key = generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    certificate = (
        begin(subject, subject, key)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    return key, certificate.public_bytes(Encoding.PEM)


async def forged_by(
    signer: Signer, verifier: WebhookVerifier, simulator: Simulator, certificate: bytes
) -> None:
    """Signs with the signer's key while PayPal's address serves the given certificate."""
    state = simulator.app.state.paypal
    url = f"{simulator.url}/v1/notifications/certs/CERT-OTHER"
    headers = signer.headers(BODY, state.args.webhook_id, url)
    real = state.signer
    state.signer = type("Served", (), {"certificate": certificate})()
    try:
        with pytest.raises(ForgedEvent):
            await verifier.verify({k.lower(): v for k, v in headers.items()}, BODY)
    finally:
        state.signer = real


async def test_other_certificates_are_refused(
    verifier: WebhookVerifier, simulator: Simulator, tmp_path: Path
) -> None:
    """Another key, a self-signed certificate with the right name, another root, another name."""
    folders = [tmp_path / name for name in ("own", "named")]
    for folder in folders:
        folder.mkdir()
    stranger = Signer(folders[0])
    await forged_by(stranger, verifier, simulator, simulator.app.state.paypal.signer.certificate)
    await forged_by(stranger, verifier, simulator, stranger.certificate)
    with_root = stranger.certificate + stranger.ca_file.read_bytes()
    await forged_by(stranger, verifier, simulator, with_root)
    key, pem = self_signed(SANDBOX.cert_name)
    stranger._key = key
    await forged_by(stranger, verifier, simulator, pem)
    await forged_by(stranger, verifier, simulator, b"no certificate")
    await forged_by(stranger, verifier, simulator, b"")


async def test_the_certificates_name_counts(
    paypal: PayPal, simulator: Simulator, signed: dict[str, str]
) -> None:
    paypal.account = replace(
        paypal.account, site=replace(paypal.account.site, cert_name=LIVE.cert_name)
    )
    with pytest.raises(ForgedEvent):
        await WebhookVerifier(paypal).verify(signed, BODY)


async def test_an_absent_certificate_is_no_forgery(
    verifier: WebhookVerifier, simulator: Simulator, signed: dict[str, str]
) -> None:
    simulator.fault("certificate", "error")
    with pytest.raises(UpstreamFailed):
        await verifier.verify(signed, BODY)
    await verifier.verify(signed, BODY)


async def test_paypal_is_asked_in_postback_mode(
    simulator: Simulator, redis_url: str, signed: dict[str, str]
) -> None:
    async with simulator.paypal(redis_url, postback=True) as paypal:
        verifier = WebhookVerifier(paypal)
        await verifier.verify(signed, BODY)
        for body in (BODY.replace(b"O-1", b"O-2"), BODY + b', "x": 1', b"no json", b""):
            with pytest.raises(ForgedEvent):
                await verifier.verify(signed, body)
        with pytest.raises(ForgedEvent):
            await verifier.verify(signed | {"paypal-transmission-id": "other"}, BODY)
        simulator.fault("verify", "error", times=3)
        with pytest.raises(UpstreamFailed):
            await verifier.verify(signed, BODY)


def test_the_public_roots_can_be_read() -> None:
    import certifi

    assert len(read_roots(Path(certifi.where()).read_bytes())) > 50


@pytest.mark.parametrize("site", [LIVE, SANDBOX])
def test_real_addresses_pass(site: Any, paypal: PayPal) -> None:
    paypal.account = replace(paypal.account, site=site)
    verifier = WebhookVerifier(paypal)
    for host in site.cert_hosts:
        verifier._require_paypal_url(f"https://{host}/v1/notifications/certs/CERT-360caa42")
        for bad in (
            f"http://{host}/v1/notifications/certs/C",
            f"https://{host}:8443/v1/notifications/certs/C",
        ):
            with pytest.raises(ForgedEvent):
                verifier._require_paypal_url(f"{bad}/v1/notifications/certs/CERT-360caa42")
