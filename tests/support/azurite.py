"""Azurite, a local server with the API of Azure Blob Storage, over HTTP or HTTPS."""

import datetime as dt
import socket
import subprocess
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from azure.core.credentials import AccessToken
from azure.storage.blob import BlobServiceClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import OctKey

from local.running import free_port
from tests.support.machine import azurite, node

ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


class Azurite:
    """A server with its own port and folder; it can be stopped and started again."""

    def __init__(self, folder: Path, *, tls: bool = False) -> None:
        self._program, self._main = str(node()), str(azurite())
        self._folder = folder
        self.certificate = make_certificate(folder) if tls else None
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        scheme = "https" if self.certificate else "http"
        return f"{scheme}://127.0.0.1:{self.port}/{ACCOUNT}"

    def blob_url(self, container: str) -> str:
        """The URL of a container, in the form of `STUDIO_BLOB_URL`."""
        return (
            f"azure://{container};AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};"
            f"BlobEndpoint={self.url};"
        )

    def start(self) -> "Azurite":
        """Starts the server and waits until it accepts connections."""
        command = [
            self._program, self._main, "--silent", "--disableTelemetry", "--skipApiVersionCheck",
            "--location", str(self._folder), "--blobHost", "127.0.0.1", "--blobPort",
            str(self.port),
        ]  # fmt: skip
        if self.certificate:
            key = self.certificate.with_name("key.pem")
            command += ["--cert", str(self.certificate), "--key", str(key), "--oauth", "basic"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline_s = time.monotonic() + 60
        while time.monotonic() < deadline_s:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                assert self._process.poll() is None
                time.sleep(0.1)
        raise AssertionError("Azurite does not answer")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def make_container(self, name: str) -> None:
        options: dict[str, Any] = {"connection_verify": str(self.certificate or True)}
        with BlobServiceClient(self.url, credential=ACCOUNT_KEY, **options) as service:
            service.create_container(name)


class Identity:
    """A managed identity for Azurite, which checks claims and times but no signature."""

    async def get_token(self, *_: str, **__: Any) -> AccessToken:
        now = int(time.time())
        claims = {
            "aud": "https://storage.azure.com", "iss": "https://sts.windows.net/tenant/",
            "nbf": now - 60, "iat": now - 60, "exp": now + 3600, "oid": "someone", "tid": "tenant",
        }  # fmt: skip
        key = OctKey.generate_key(256)
        return AccessToken(jwt.encode({"alg": "HS256"}, claims, key), now + 3600)

    async def close(self) -> None:
        """Does nothing: there is nothing to close."""

    async def __aenter__(self) -> "Identity":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Does nothing: there is nothing to close."""


def make_certificate(folder: Path) -> Path:
    """Writes a self-signed certificate for 127.0.0.1 to `cert.pem` and its key to `key.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate = folder / "cert.pem"
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(*pem, serialization.NoEncryption()))
    return certificate
