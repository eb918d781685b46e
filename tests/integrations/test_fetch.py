"""The guarded fetcher against a real TLS server on the loopback, and against its tricks."""

import asyncio
import datetime
import re
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from errors import (
    Invalid,
    NotAnImage,
    RateLimited,
    StudioError,
    TooLarge,
    Unavailable,
    UpstreamFailed,
)
from integrations import fetch, resolver
from integrations.addresses import Address
from integrations.fetch import Fetcher
from integrations.resolver import NameResolver
from integrations.shares import Caller
from tests.integrations.test_addresses import HOSTILE
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
    """Answers raw bytes by path; remembers what it was asked."""

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
        """Every name has a list of answers, one a look-up; the last one stays."""
        self.resolved.append(host)
        answers = self.hosts.get(host)
        if answers is None:
            raise OSError("no such name")
        return answers.pop(0) if len(answers) > 1 else answers[0]


def answer(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    """A raw HTTP answer."""
    given = {"Content-Type": "image/jpeg", "Content-Length": str(len(body))} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value != "-")
    return f"HTTP/1.1 {status} X\r\n{lines}Connection: close\r\n\r\n".encode() + body


def only_loopback(address: Address) -> bool:
    """Stands for "public" where the test's server is; everything else is refused."""
    return address == LOOPBACK


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def server(certificate: Path) -> AsyncIterator[PictureServer]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    site = PictureServer(hosts={NAME: [["127.0.0.1"]], f"b.{NAME}": [["127.0.0.1"]]})
    site.pages["/ok.jpg"] = answer(body=JPEG)
    listener = await asyncio.start_server(site.serve, "127.0.0.1", 0, ssl=tls)
    site.port = listener.sockets[0].getsockname()[1]
    yield site
    listener.close()


@asynccontextmanager
async def opened(
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


@pytest.fixture
async def fetcher(server: PictureServer, certificate: Path) -> AsyncIterator[Fetcher]:
    async with opened(server, certificate) as made:
        yield made


def url_of(server: PictureServer, path: str, name: str = NAME) -> str:
    return f"https://{name}:{server.port}{path}"


async def test_a_picture(
    server: PictureServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await fetcher.fetch_image(url_of(server, "/ok.jpg")) == JPEG
    request = server.requests[0].decode().lower()
    assert f"host: {NAME}:{server.port}" in request
    assert "accept-encoding: identity" in request
    for unwanted in ("cookie", "authorization", "referer"):
        assert unwanted not in request


REFUSED = [
    "http://pictures.example/a.jpg", "ftp://pictures.example/a.jpg", "file:///etc/passwd",
    "//pictures.example/a.jpg", "/a.jpg", "", "a", "https://", "https:///a.jpg", "https://:443/",
    "data:image/png;base64,AAAA", "gopher://x.example/", "javascript:alert(1)",
    "https://user@pictures.example/a", "https://user:pw@pictures.example/a",
    "https://pictures.example:80/a", "https://pictures.example:22/a",
    "https://pictures.example:99999/a", "https://pictures.example:x/a",
    "https://127.0.0.1/a", "https://127.1/a", "https://2130706433/a", "https://0x7f000001/a",
    "https://0x7f.0.0.1/a", "https://0177.0.0.1/a", "https://017700000001/a", "https://0/a",
    "https://[::1]/a", "https://[::ffff:127.0.0.1]/a", "https://[fe80::1%25eth0]/a",
    "https://169.254.169.254/latest/meta-data", "https://168.63.129.16/", "https://1.1.1.1/a",
    "https://localhost/a", "https://metadata/a", "https://pictures/a", "https://pictures.example./a",
    "https://127\u30020\u30020\u30021/a", "https://\uff11\uff12\uff17.0.0.1/a",
    "https://\u24db\u24de\u24d2al/a", "https://exa mple.com/a", "https://a..example/a",
    "https://pictures.example\\@127.0.0.1/a", "https://pictures.example%00.evil/a",
    "https://pictures.example\r\nHost: x/a", "https://x/" + "a" * 3000,
]  # fmt: skip


@pytest.mark.parametrize("url", REFUSED)
async def test_refused_before_any_look_up(url: str) -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    fetcher = Fetcher(resolve=resolve)
    with pytest.raises(Invalid):
        await fetcher.fetch_image(url)
    assert asked == []
    await fetcher.aclose()


@pytest.mark.parametrize(
    "answers",
    [*([address] for address in HOSTILE.split()), ["1.1.1.1", "127.0.0.1"], ["fd00::1", "1.1.1.1"],
     ["fe80::1%lo"], ["1.1.1.1", "8.8.8.8", "::ffff:10.0.0.1"]],
)  # fmt: skip
async def test_names_of_private_addresses(answers: list[str]) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return answers

    fetcher = Fetcher(resolve=resolve)
    with pytest.raises(Invalid) as refused:
        await fetcher.fetch_image("https://pictures.example/a.jpg")
    assert answers[0] not in refused.value.detail
    await fetcher.aclose()


async def test_a_name_that_changes_its_mind_is_dialled_as_checked(
    server: PictureServer, fetcher: Fetcher
) -> None:
    """Rebinding: a second look-up would lead elsewhere, so there is none."""
    server.hosts[NAME] = [["127.0.0.1"], ["10.0.0.1"]]
    assert await fetcher.fetch_image(url_of(server, "/ok.jpg")) == JPEG
    assert server.resolved == [NAME]
    with pytest.raises(Invalid):
        await fetcher.fetch_image(url_of(server, "/ok.jpg"))


async def test_redirects_are_followed_three_times(server: PictureServer, fetcher: Fetcher) -> None:
    server.pages["/1"] = answer(302, Location=url_of(server, "/2", f"b.{NAME}"))
    server.pages["/2"] = answer(307, Location="/3")
    server.pages["/3"] = answer(301, Location="ok.jpg")
    server.pages["/0"] = answer(308, Location="/1")
    assert await fetcher.fetch_image(url_of(server, "/1")) == JPEG
    with pytest.raises(UpstreamFailed):
        await fetcher.fetch_image(url_of(server, "/0"))


@pytest.mark.parametrize(
    "target",
    ["http://pictures.example/ok.jpg", "https://127.0.0.1/x", "https://169.254.169.254/x",
     "https://[::1]/x", "https://localhost/x", "https://u:p@pictures.example/x", "file:///etc/passwd",
     "//127.0.0.1/x", "https://pictures.example:22/x", "ftp://pictures.example/x"],
)  # fmt: skip
async def test_redirects_to_where_nobody_may_go(
    server: PictureServer, fetcher: Fetcher, target: str
) -> None:
    server.pages["/away"] = answer(302, Location=target)
    with pytest.raises(Invalid):
        await fetcher.fetch_image(url_of(server, "/away"))
    assert len(server.requests) == 1


CHAINS = [
    ["https://127.0.0.1/x"],
    ["b", "https://169.254.169.254/latest/meta-data"],
    ["b", "c", "https://[::1]/x"],
    ["c", "http://pictures.example/ok.jpg"],
    ["b", "https://rebound.pictures.example:{port}/ok.jpg"],
    ["c", "b", "https://inside.pictures.example:{port}/x"],
    ["b", "https://mixed.pictures.example:{port}/x"],
    ["b", "b", "//metadata/x"],
    ["c", "https://b.pictures.example:22/x"],
    ["b", "https://user:pw@b.pictures.example:{port}/ok.jpg"],
    ["b", "c", "https://2130706433/x"],
    ["b", "c", "b", "c"],
    ["self"],
]
"""Where each answer leads; `b` and `c` are honest hosts that lead on, `self` leads to itself."""


@pytest.mark.parametrize("chain", CHAINS, ids=" > ".join)
async def test_chains_of_redirects_that_end_where_nobody_may_go(
    server: PictureServer, fetcher: Fetcher, chain: list[str]
) -> None:
    server.hosts[f"c.{NAME}"] = [["127.0.0.1"]]
    server.hosts[f"inside.{NAME}"] = [["10.0.0.1"]]
    server.hosts[f"mixed.{NAME}"] = [["127.0.0.1", "192.168.0.1"]]
    server.hosts[f"rebound.{NAME}"] = [["fd00::1"], ["127.0.0.1"]]
    for place, target in enumerate(chain):
        known = {
            "b": url_of(server, f"/{place + 1}", f"b.{NAME}"),
            "c": url_of(server, f"/{place + 1}", f"c.{NAME}"),
            "self": url_of(server, f"/{place}"),
        }
        location = known.get(target, target.format(port=server.port))
        server.pages[f"/{place}"] = answer(302, Location=location)
    with pytest.raises((Invalid, UpstreamFailed)):
        await fetcher.fetch_image(url_of(server, "/0"))
    # Nothing but the honest hops was asked, and none of them more than the limit allows.
    assert 1 <= len(server.requests) <= fetch.MAX_REDIRECTS + 1
    honest = {NAME, f"b.{NAME}", f"c.{NAME}"}
    asked = {re.search(rb"Host: ([^:\r]+)", one).group(1).decode() for one in server.requests}  # type: ignore[union-attr]
    assert asked <= honest


async def test_a_redirect_to_a_name_of_a_private_address(
    server: PictureServer, fetcher: Fetcher
) -> None:
    server.hosts[f"b.{NAME}"] = [["10.0.0.1"]]
    server.pages["/away"] = answer(302, Location=url_of(server, "/x", f"b.{NAME}"))
    with pytest.raises(Invalid):
        await fetcher.fetch_image(url_of(server, "/away"))


@pytest.mark.parametrize(
    ("page", "error"),
    [
        (answer(404), UpstreamFailed),
        (answer(500), UpstreamFailed),
        (answer(304), UpstreamFailed),
        (answer(302), UpstreamFailed),
        (answer(body=b"<html>", Content_Type="text/html"), NotAnImage),
        (answer(body=b"<svg/>", Content_Type="image/svg+xml"), NotAnImage),
        (answer(body=b"not an image"), NotAnImage),
        (answer(body=b""), NotAnImage),
        (answer(body=JPEG, Content_Encoding="gzip"), UpstreamFailed),
        (answer(body=JPEG, Content_Length="15000001"), TooLarge),
        (answer(body=JPEG, Content_Length="9" * 30), StudioError),
        (answer(body=JPEG, Content_Length=str(len(JPEG) + 5)), UpstreamFailed),
        (answer(body=JPEG, Transfer_Encoding="chunked", Content_Length="-"), UpstreamFailed),
        (b"nonsense\r\n\r\n", UpstreamFailed),
        (b"", UpstreamFailed),
        (b"HTTP/1.1 200 X\r\nA: " + b"x" * 300_000, UpstreamFailed),
    ],
)
async def test_what_can_not_be_used(
    server: PictureServer, fetcher: Fetcher, page: bytes, error: type[StudioError]
) -> None:
    server.pages["/page"] = page
    with pytest.raises(error):
        await fetcher.fetch_image(url_of(server, "/page"))
    assert await fetcher.fetch_image(url_of(server, "/ok.jpg")) == JPEG


async def test_bytes_without_end(server: PictureServer, fetcher: Fetcher) -> None:
    with pytest.raises(TooLarge):
        await fetcher.fetch_image(url_of(server, "/endless"))


async def test_bytes_without_haste(
    server: PictureServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "TOTAL_S", 0.5)
    with pytest.raises(UpstreamFailed):
        await fetcher.fetch_image(url_of(server, "/slow"))


async def test_names_without_an_address_and_servers_without_a_certificate(
    server: PictureServer, fetcher: Fetcher
) -> None:
    with pytest.raises(UpstreamFailed):
        await fetcher.fetch_image(url_of(server, "/ok.jpg", "unknown.example"))
    server.hosts["other.example"] = [["127.0.0.1"]]
    with pytest.raises(UpstreamFailed):
        await fetcher.fetch_image(url_of(server, "/ok.jpg", "other.example"))
    assert server.requests == []


async def test_only_what_the_allow_list_names(server: PictureServer, certificate: Path) -> None:
    async with opened(server, certificate, allow=(f"*.{NAME}",)) as fetcher:
        assert await fetcher.fetch_image(url_of(server, "/ok.jpg", f"b.{NAME}")) == JPEG
        with pytest.raises(Invalid):
            await fetcher.fetch_image(url_of(server, "/ok.jpg"))
        server.pages["/away"] = answer(302, Location=url_of(server, "/ok.jpg"))
        with pytest.raises(Invalid):
            await fetcher.fetch_image(url_of(server, "/away", f"b.{NAME}"))
    async with opened(server, certificate, allow=(NAME,)) as fetcher:
        assert await fetcher.fetch_image(url_of(server, "/ok.jpg")) == JPEG
        with pytest.raises(Invalid):
            await fetcher.fetch_image(url_of(server, "/ok.jpg", f"b.{NAME}"))


async def test_one_caller_delays_nobody_else(
    server: PictureServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many hosts that never end he names; on 69772be twenty fetches were everybody's."""
    monkeypatch.setattr(fetch, "TOTAL_S", 1.0)
    monkeypatch.setattr(fetch, "WAIT_S", 0.5)
    names = [f"s{number}.{NAME}" for number in range(30)]
    server.hosts |= {name: [["127.0.0.1"]] for name in names}
    async with opened(server, certificate) as fetcher:
        slow = [
            asyncio.create_task(fetcher.fetch_image(url_of(server, "/slow", name), "ip:1"))
            for name in names
        ]
        await asyncio.sleep(0.1)
        assert len(server.resolved) <= fetch.MAX_PER_CALLER
        assert await fetcher.fetch_image(url_of(server, "/ok.jpg"), "ip:2") == JPEG
        results = await asyncio.gather(*slow, return_exceptions=True)
        refused = [one for one in results if isinstance(one, RateLimited)]
        assert len(refused) >= 30 - fetch.MAX_PER_CALLER - fetch.MAX_WAITING_PER_CALLER
        assert {type(one) for one in results} <= {fetch.FetchesBusy, UpstreamFailed}
        assert await fetcher.fetch_image(url_of(server, "/ok.jpg"), "ip:1") == JPEG


async def test_accounts_of_one_network_share_its_fetches(
    server: PictureServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty free accounts of one address took all places when only accounts were counted."""
    monkeypatch.setattr(fetch, "TOTAL_S", 1.0)
    names = [f"s{number}.{NAME}" for number in range(40)]
    server.hosts |= {name: [["127.0.0.1"]] for name in names}
    slow = [
        asyncio.create_task(
            fetcher.fetch_image(
                url_of(server, "/slow", name), Caller(f"user:{number // 2}", "192.0.2.1")
            )
        )
        for number, name in enumerate(names)
    ]
    await asyncio.sleep(0.1)
    assert len(server.resolved) == fetch.MAX_PER_NETWORK
    other = Caller("user:other", "192.0.2.2")
    assert await fetcher.fetch_image(url_of(server, "/ok.jpg"), other) == JPEG
    for task in slow:
        task.cancel()
    results = await asyncio.gather(*slow, return_exceptions=True)
    refused = [one for one in results if isinstance(one, RateLimited)]
    assert len(refused) == 40 - fetch.MAX_PER_NETWORK - fetch.MAX_WAITING_PER_NETWORK


async def test_whoever_waits_for_a_host_keeps_nobody_from_another(
    server: PictureServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More callers than there are places in all want one slow host."""
    monkeypatch.setattr(fetch, "TOTAL_S", 1.0)
    slow = [
        asyncio.create_task(fetcher.fetch_image(url_of(server, "/slow"), f"ip:{number}"))
        for number in range(fetch.MAX_FETCHES + 4)
    ]
    await asyncio.sleep(0.1)
    other = asyncio.create_task(fetcher.fetch_image(url_of(server, "/ok.jpg", f"b.{NAME}"), "ip:x"))
    await asyncio.wait({other, *slow}, return_when=asyncio.FIRST_COMPLETED)
    assert other.done() and await other == JPEG
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)


async def test_a_patient_caller_waits_and_is_never_refused(
    server: PictureServer, fetcher: Fetcher
) -> None:
    """More pictures of one caller than may run and wait, as two evaluations want."""
    count = 2 * (fetch.MAX_PER_CALLER + fetch.MAX_WAITING_PER_CALLER)
    caller = Caller("user:1", "192.0.2.1")
    pictures = await asyncio.gather(
        *(
            fetcher.fetch_image(url_of(server, "/ok.jpg"), caller, is_patient=True)
            for _ in range(count)
        )
    )
    assert pictures == [JPEG] * count


async def test_one_host_delays_no_other(
    server: PictureServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "TOTAL_S", 0.5)
    slow = [
        asyncio.create_task(fetcher.fetch_image(url_of(server, "/slow"), f"ip:{number}"))
        for number in range(20)
    ]
    await asyncio.sleep(0.1)
    assert len(server.requests) <= fetch.MAX_PER_HOST
    assert await fetcher.fetch_image(url_of(server, "/ok.jpg", f"b.{NAME}"), "ip:x") == JPEG
    await asyncio.gather(*slow, return_exceptions=True)


async def test_the_studios_own_work_bounds_itself(server: PictureServer, fetcher: Fetcher) -> None:
    pictures = await asyncio.gather(
        *(fetcher.fetch_image(url_of(server, "/ok.jpg")) for _ in range(fetch.MAX_PER_HOST * 2))
    )
    assert set(pictures) == {JPEG}


async def test_look_ups_have_a_deadline_and_threads_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name server that never answers holds no thread that anything else needs."""
    monkeypatch.setattr(resolver, "RESOLVE_S", 0.1)
    answered = threading.Event()
    threads: set[str] = set()

    def look_up(host: str, port: int) -> list[str]:
        threads.add(threading.current_thread().name)
        if host.startswith("slow"):
            answered.wait(20)
        return ["192.0.2.7"]

    names = NameResolver(look_up)
    try:
        for number in range(resolver.MAX_PER_CALLER):
            with pytest.raises(UpstreamFailed):
                await names.resolve(f"slow{number}.example", 443, "ip:1")
        with pytest.raises(RateLimited):  # the threads are still held
            await names.resolve("slow.example", 443, "ip:1")
        assert await names.resolve("good.example", 443, "ip:2") == ["192.0.2.7"]
    finally:
        answered.set()
    assert all(name.startswith("resolver") for name in threads)
    await asyncio.sleep(0.1)
    assert await names.resolve("good.example", 443, "ip:1") == ["192.0.2.7"]
    names.close()


async def test_accounts_of_one_network_share_its_look_ups() -> None:
    """Eight free accounts of one address held all threads when only accounts were counted."""
    answered = threading.Event()
    names = NameResolver(lambda host, port: [str(answered.wait(20))])
    held = [
        asyncio.create_task(names.resolve("a.example", 443, Caller(f"user:{n}", "192.0.2.1")))
        for n in range(resolver.THREADS)
    ]
    await asyncio.sleep(0.05)
    refused = [task for task in held if task.done()]
    assert len(refused) == resolver.THREADS - resolver.MAX_PER_NETWORK
    assert all(isinstance(task.exception(), RateLimited) for task in refused)
    answered.set()
    other = Caller("user:other", "192.0.2.2")
    assert await names.resolve("b.example", 443, other) == ["True"]
    await asyncio.gather(*held, return_exceptions=True)
    names.close()


async def test_more_look_ups_than_threads_are_told_to_come_again() -> None:
    answered = threading.Event()
    names = NameResolver(lambda host, port: [str(answered.wait(20))], threads=2)
    held = [asyncio.create_task(names.resolve("a.example", 443, f"ip:{n}")) for n in range(2)]
    await asyncio.sleep(0.05)
    with pytest.raises(Unavailable):
        await names.resolve("b.example", 443, "ip:9")
    answered.set()
    await asyncio.gather(*held)
    names.close()
