"""A TLS server of pictures on the loopback, and a fetcher that may reach it."""

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from integrations.addresses import Address
from integrations.fetch import Fetcher
from tests.support.fakes import picture

NAME = "pictures.example"

JPEG = picture()

LOOPBACK = ip_address("127.0.0.1")


def make_certificate(folder: Path) -> Path:
    """A self-signed certificate for every name below .example, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(NAME), x509.DNSName(f"*.{NAME}")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@dataclass
class PictureServer:
    """Answers raw bytes by path, and records requests and look-ups."""

    port: int = 0
    pages: dict[str, bytes] = field(default_factory=dict)
    requests: list[bytes] = field(default_factory=list)
    hosts: dict[str, list[list[str]]] = field(default_factory=dict)
    resolved: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(request)
            path = request.split(b" ")[1].decode()
            if path == "/endless":
                await self.drip(writer, b"x" * 100_000, 0)
            elif path == "/slow":
                await self.drip(writer, b"x", 0.05)
            else:
                writer.write(self.pages.get(path, answer(404)))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def drip(self, writer: asyncio.StreamWriter, chunk: bytes, pause_s: float) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n" + JPEG)
        while not writer.is_closing():
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(pause_s)

    async def resolve(self, host: str, port: int) -> list[str]:
        """The next answer of the name's list; the last one is repeated."""
        self.resolved.append(host)
        answers = self.hosts.get(host)
        if answers is None:
            raise OSError("no such name")
        return answers.pop(0) if len(answers) > 1 else answers[0]


def answer(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    """A raw HTTP response."""
    fields = {"Content-Type": "image/jpeg", "Content-Length": str(len(body))} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value != "-")
    return f"HTTP/1.1 {status} X\r\n{lines}Connection: close\r\n\r\n".encode() + body


def only_loopback(address: Address) -> bool:
    """Allows only the address of the test's server, instead of public addresses."""
    return address == LOOPBACK


@asynccontextmanager
async def open_fetcher(
    server: PictureServer,
    certificate: Path,
    *,
    allow: tuple[str, ...] = (),
    is_allowed: Callable[[Address], bool] = only_loopback,
) -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(
        allow=allow,
        resolve=server.resolve,
        is_allowed=is_allowed,
        tls=ssl.create_default_context(cafile=certificate),
        port=server.port,
    )
    yield fetcher
    await fetcher.aclose()


def url_of(server: PictureServer, path: str, name: str = NAME) -> str:
    return f"https://{name}:{server.port}{path}"
