"""TLS to PostgreSQL as the URL requests it: the same for pool, listener and migrations."""

import select
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from db.connect import connect, read_url
from db.engine import Database
from db.notices import listen
from errors import SetupError, Unavailable

SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Makes a self-signed certificate for a host name, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    paths = folder / f"{name}.crt", folder / f"{name}.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


class TlsFront(socketserver.BaseRequestHandler):
    """Handles one connection: PostgreSQL's request for TLS, the handshake, then bytes both ways."""

    context: ssl.SSLContext
    behind: tuple[str, int]

    def handle(self) -> None:
        if self.request.recv(8) != SSL_REQUEST:
            return
        self.request.sendall(b"S")
        with (
            suppress(OSError),
            self.context.wrap_socket(self.request, server_side=True) as outer,
            socket.create_connection(self.behind) as inner,
        ):
            pump(outer, inner)


def pump(outer: ssl.SSLSocket, inner: socket.socket) -> None:
    """Copies bytes until either side ends; in one thread, as an SSL socket needs that."""
    while True:
        ready = [outer] if outer.pending() else select.select([outer, inner], [], [], 20)[0]
        if not ready:
            return
        for source in ready:
            data = source.recv(65536)
            if not data:
                return
            (inner if source is outer else outer).sendall(data)


@contextmanager
def tls_server(
    url: str, certificate: tuple[Path, Path], *, clients: Path | None = None
) -> Iterator[str]:
    """A TLS proxy before the PostgreSQL of the tests, whose wheel is built without TLS.

    `clients`: it requires a certificate of its callers that this file issued.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients)
    context.load_cert_chain(*certificate)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # its handshake ends with that check
    parts = urlsplit(url)
    values = {"context": context, "behind": (parts.hostname, parts.port)}
    handler = type("Front", (TlsFront,), values)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        place = f"localhost:{server.server_address[1]}"
        yield parts._replace(netloc=f"{parts.username}:{parts.password}@{place}").geturl()
        server.shutdown()
        thread.join()


async def test_every_client_verifies_what_the_url_asks_for(
    database_url: str, tmp_path: Path
) -> None:
    ours, other = make_certificate(tmp_path, "localhost"), make_certificate(tmp_path, "elsewhere")
    with tls_server(database_url, ours) as url:
        trusted = f"{url}?sslmode=verify-full&sslrootcert={ours[0]}"
        database = Database(trusted, pool_size=1)
        assert await database.check()
        await database.aclose()
        connection = await connect(trusted)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
        for mode in ("require", "prefer"):  # encrypted, by whomever
            connection = await connect(f"{url}?sslmode={mode}")
            await connection.close()
        for doubtful in (
            f"{url}?sslmode=verify-full&sslrootcert={other[0]}",
            f"{url}?sslmode=verify-full",
        ):
            database = Database(doubtful, pool_size=1)
            with pytest.raises(Unavailable):
                await database.check()
            await database.aclose()
            with pytest.raises(Unavailable):
                await listen(doubtful, "jobs", lambda: None)


async def test_a_certificate_of_another_host_is_refused_unless_only_its_issuer_counts(
    database_url: str, tmp_path: Path
) -> None:
    other = make_certificate(tmp_path, "elsewhere")
    with tls_server(database_url, other) as url:
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(f"{url}?sslmode=verify-full&sslrootcert={other[0]}")
        connection = await connect(f"{url}?sslmode=verify-ca&sslrootcert={other[0]}")
        await connection.close()


async def test_a_server_without_tls_is_refused_where_the_url_asks_for_it(database_url: str) -> None:
    for mode in ("require", "verify-ca", "verify-full"):
        database = Database(f"{database_url}?sslmode={mode}", pool_size=1)
        with pytest.raises(Unavailable):
            await database.check()
        await database.aclose()
    for query in ("sslmode=disable", "ssl=prefer", "sslmode=allow&application_name=x"):
        database = Database(f"{database_url}?{query}", pool_size=1)
        assert await database.check()
        await database.aclose()


async def test_with_a_root_require_verifies_it_as_libpq_does(
    database_url: str, tmp_path: Path
) -> None:
    ours, other = make_certificate(tmp_path, "localhost"), make_certificate(tmp_path, "elsewhere")
    with tls_server(database_url, other) as url:
        connection = await connect(f"{url}?sslmode=require&sslrootcert={other[0]}")
        await connection.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(f"{url}?sslmode=require&sslrootcert={ours[0]}")


async def test_a_certificate_of_the_client_is_shown_in_every_mode_with_tls(
    database_url: str, tmp_path: Path
) -> None:
    ours, client = make_certificate(tmp_path, "localhost"), make_certificate(tmp_path, "studio")
    own = f"sslcert={client[0]}&sslkey={client[1]}"
    with tls_server(database_url, ours, clients=client[0]) as url:
        for mode in ("require", f"verify-full&sslrootcert={ours[0]}"):
            connection = await connect(f"{url}?sslmode={mode}&{own}")
            assert await connection.fetchval("SELECT 1") == 1
            await connection.close()
        with pytest.raises(OSError, match=r"(?i)ssl|reset|unexpected"):
            await connect(f"{url}?sslmode=require")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("sslmode=require&channel_binding=require", "channel_binding is not supported"),
        ("sslmode=verify-full&sslcrl=/crl.pem", "sslcrl is not supported"),
        ("connect_timeout=10", "connect_timeout is not supported"),
        ("sslmode=prefer&sslcert=/client.pem", "sslcert needs an sslmode"),
        ("sslmode=verify", "sslmode must be one of disable"),
        ("sslmode=verify-full&sslrootcert=/nowhere.pem", "can't be read"),
    ],
)
def test_a_url_that_says_nonsense_is_named(query: str, message: str) -> None:
    with pytest.raises(SetupError, match=message):
        read_url(f"postgresql://host/db?{query}")


def test_other_parameters_stay() -> None:
    address, tls = read_url("postgresql+asyncpg://u:p@h:5/db?sslmode=require&application_name=a")
    assert (address, tls) == ("postgresql://u:p@h:5/db?application_name=a", "require")
