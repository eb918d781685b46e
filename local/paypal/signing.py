"""Signs webhooks with a certificate of the simulator's own certificate authority."""

import base64
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from integrations.paypal.account import SANDBOX

DAYS = 3650


class Signer:
    """A root and a leaf certificate; they are made at first use and kept in the folder."""

    def __init__(self, folder: Path, *, name: str = SANDBOX.cert_name) -> None:
        self.ca_file = folder / "ca.pem"
        self._leaf_file = folder / "webhooks.pem"
        self._key_file = folder / "webhooks.key"
        if not self._leaf_file.exists():
            self._make(name)
        key = load_pem_private_key(self._key_file.read_bytes(), password=None)
        if not isinstance(key, RSAPrivateKey):
            raise TypeError("the signing key must be an RSA key")
        self._key = key

    @property
    def certificate(self) -> bytes:
        """The leaf certificate as PEM, which the URL of `PayPal-Cert-Url` serves."""
        return self._leaf_file.read_bytes()

    def headers(self, body: bytes, webhook_id: str, cert_url: str) -> dict[str, str]:
        """The signature headers of an event."""
        sent_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        transmission_id = str(uuid4())
        message = f"{transmission_id}|{sent_at}|{webhook_id}|{zlib.crc32(body)}".encode()
        signature = self._key.sign(message, PKCS1v15(), SHA256())
        return {
            "PayPal-Transmission-Id": transmission_id,
            "PayPal-Transmission-Time": sent_at,
            "PayPal-Transmission-Sig": base64.b64encode(signature).decode(),
            "PayPal-Auth-Algo": "SHA256withRSA",
            "PayPal-Cert-Url": cert_url,
            "Content-Type": "application/json",
        }

    def has_signed(self, fields: dict[str, str], body: bytes) -> bool:
        """Whether this simulator signed an event with these transmission fields."""
        parts = (fields["transmission_id"], fields["transmission_time"], fields["webhook_id"])
        message = "|".join((*parts, str(zlib.crc32(body)))).encode()
        try:
            signature = base64.b64decode(fields["transmission_sig"], validate=True)
            self._key.public_key().verify(signature, message, PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True

    def _make(self, name: str) -> None:
        root_key, key = (generate_private_key(65537, 2048) for _ in range(2))
        root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "PayPal simulator root")])
        root = (
            begin(root_name, root_name, root_key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage(certificates=True), critical=True)
            .sign(root_key, SHA256())
        )
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        leaf = (
            begin(subject, root_name, key, issuer_key=root_key)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(usage(certificates=False), critical=True)
            .sign(root_key, SHA256())
        )
        self.ca_file.write_bytes(root.public_bytes(Encoding.PEM))
        self._key_file.touch(mode=0o600)
        self._key_file.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        self._leaf_file.write_bytes(
            leaf.public_bytes(Encoding.PEM)
        )  # last, as it marks the set as complete


def begin(
    subject: x509.Name,
    issuer: x509.Name,
    key: RSAPrivateKey,
    issuer_key: RSAPrivateKey | None = None,
) -> x509.CertificateBuilder:
    """Builds the common part of both certificates."""
    now = datetime.now(UTC)
    authority = (issuer_key or key).public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority), critical=False
        )
    )


def usage(*, certificates: bool) -> x509.KeyUsage:
    """The key usage of the root, which signs certificates, or of the leaf, which signs events."""
    return x509.KeyUsage(
        digital_signature=not certificates, key_cert_sign=certificates, crl_sign=certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
