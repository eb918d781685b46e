"""Fetches pictures from public hosts; refuses other content and other hosts."""

import ssl
import time
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from urllib.parse import urljoin

import anyio
import certifi
import httpcore
import httpx

from errors import Invalid, NotAnImage, RateLimited, TooLarge, Unavailable, UpstreamFailed
from integrations.addresses import Address, is_public, is_public_name
from integrations.fair_semaphore import NO_BOUND, FairSemaphore
from integrations.guarded_backend import GuardedBackend, Resolver
from integrations.resolver import NameResolver

MAX_BYTES = 15_000_000
MAX_REDIRECTS = 3
MAX_URL_CHARS = 2048
TOTAL_S = 10.0
CONNECT_S = 3.0
READ_S = 5.0
HTTPS_PORT = 443
REDIRECTS = frozenset({301, 302, 303, 307, 308})
OCTETS = "application/octet-stream"
BRANDS = frozenset({b"avif", b"heic", b"heix", b"mif1"})
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
HEADERS = (
    ("Accept", "image/*"),
    ("Accept-Encoding", "identity"),
    ("User-Agent", "ai-fashion-studio"),
)

MAX_PER_CALLER = 2
MAX_PER_NETWORK = 6
MAX_PER_HOST = 6
MAX_FETCHES = 40
"""Concurrent fetches of one caller, of one network, from one host, and in one process."""
MAX_WAITING_PER_CALLER = 8
MAX_WAITING_PER_NETWORK = 24
WAIT_S = 5.0

_caller: ContextVar[Hashable] = ContextVar("fetching_for", default=None)


class FetchesBusy(RateLimited):
    """Too many other pictures are being fetched for the caller."""

    retry_after_s = 2


def caller_busy() -> FetchesBusy:
    """The error if the caller has too many fetches."""
    return FetchesBusy(f"at most {MAX_PER_CALLER} pictures are fetched for you at once")


def host_busy() -> Unavailable:
    """The error if there are too many fetches from the host."""
    return Unavailable("too many pictures are being fetched from this host")


def all_busy() -> Unavailable:
    """The error if this process has too many fetches."""
    return Unavailable("too many pictures are being fetched from other hosts")


class Fetcher:
    """The client for all pictures from outside, with limits for callers, networks and hosts.

    Of `MAX_FETCHES` connections one caller has at most `MAX_PER_CALLER` and one network
    `MAX_PER_NETWORK`, so that their slow hosts delay nobody else.

    resolve, is_allowed, tls, port: for tests, which only have the loopback.
    """

    def __init__(
        self,
        *,
        allow: Sequence[str] = (),
        resolve: Resolver | None = None,
        is_allowed: Callable[[Address], bool] = is_public,
        tls: ssl.SSLContext | None = None,
        port: int = HTTPS_PORT,
    ) -> None:
        self._allow = tuple(name.lower().lstrip("*") for name in allow)
        self._port = port
        self._resolver = NameResolver()
        self._callers = FairSemaphore(
            per_owner=MAX_PER_CALLER,
            per_network=MAX_PER_NETWORK,
            waiting=NO_BOUND,
            waiting_per_owner=MAX_WAITING_PER_CALLER,
            waiting_per_network=MAX_WAITING_PER_NETWORK,
            wait_s=WAIT_S,
            busy=caller_busy,
        )
        self._hosts = FairSemaphore(
            per_owner=MAX_PER_HOST,
            waiting=NO_BOUND,
            waiting_per_owner=MAX_FETCHES,
            wait_s=WAIT_S,
            busy=host_busy,
        )
        self._all = FairSemaphore(
            places=MAX_FETCHES,
            waiting=MAX_FETCHES,
            waiting_per_owner=NO_BOUND,
            wait_s=WAIT_S,
            full=all_busy,
        )
        # httpcore itself reads no proxy variables, follows no redirects and decodes nothing.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or ssl.create_default_context(cafile=certifi.where()),
            network_backend=GuardedBackend(resolve or self._resolve, is_allowed),
            max_connections=MAX_FETCHES,
            max_keepalive_connections=0,
        )

    async def fetch_image(
        self, url: str, caller: Hashable = None, *, is_patient: bool = False
    ) -> bytes:
        """The bytes of a picture: at most `MAX_BYTES`, within `TOTAL_S` without the waiting time.

        caller: the owner whose limits apply, usually a `Caller`; None is the studio's own work,
            which limits itself.
        is_patient: whether to wait for a place without a time limit.

        Raises:
            Invalid: the address is refused.
            NotAnImage, TooLarge: the response can't be used.
            RateLimited, Unavailable: no place became free.
            UpstreamFailed: the host did not answer, or not with a picture.
        """
        first = self.check_url(url)
        token = _caller.set(caller)
        try:
            async with self._callers.place(caller, is_patient=is_patient):
                return await self._follow(str(first), is_patient or caller is None)
        finally:
            _caller.reset(token)

    async def _follow(self, url: str, is_patient: bool) -> bytes:
        left_s = TOTAL_S
        for _ in range(MAX_REDIRECTS + 1):
            checked = self.check_url(url)
            async with self._place(checked.host, is_patient):
                started_s = time.monotonic()
                answer = await self._get_in_time(checked, left_s)
                left_s -= time.monotonic() - started_s
            if isinstance(answer, bytes):
                return answer
            url = urljoin(str(checked), answer)
        raise UpstreamFailed(f"the picture is behind more than {MAX_REDIRECTS} redirects")

    @asynccontextmanager
    async def _place(self, host: str, is_patient: bool) -> AsyncIterator[None]:
        """Waits for a place of the host, then for one of the process.

        In this order a caller that waits for a host takes no place from other hosts.
        """
        caller = _caller.get()
        if caller is None:
            async with self._all.place(None, is_patient=is_patient):
                yield
            return
        async with (
            self._hosts.place(host, is_patient=is_patient),
            self._all.place(caller, is_patient=is_patient),
        ):
            yield

    async def _get_in_time(self, url: httpx.URL, left_s: float) -> bytes | str:
        try:
            with anyio.fail_after(left_s):
                return await self._get(url)
        except TimeoutError:
            raise UpstreamFailed("the picture did not arrive in time") from None
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError,
                httpcore.UnsupportedProtocol, ssl.SSLError, OSError):  # fmt: skip
            raise UpstreamFailed("the picture could not be fetched") from None

    def check_url(self, text: str) -> httpx.URL:
        """The parsed address; the connection uses the same parts that are checked here.

        Raises:
            Invalid: it is not https, or has another port, credentials, an IP address, ...
        """
        try:
            url = httpx.URL(text) if len(text) <= MAX_URL_CHARS else None
        except (httpx.InvalidURL, ValueError):
            url = None
        if url is None or url.scheme != "https" or url.userinfo:
            raise Invalid("the picture's address must be a plain https URL")
        host = url.raw_host.decode("ascii", "replace")
        if (url.port or HTTPS_PORT) != self._port or not is_public_name(host):
            raise Invalid("pictures are not fetched from this address")
        if self._allow and not any(matches(host, entry) for entry in self._allow):
            raise Invalid("pictures are not fetched from this host")
        return url

    async def _resolve(self, host: str, port: int) -> list[str]:
        return await self._resolver.resolve(host, port, _caller.get())

    async def _get(self, url: httpx.URL) -> bytes | str:
        """The response to one request: a picture, or the address of a redirect."""
        target = httpcore.URL(
            scheme=b"https", host=url.raw_host, port=self._port, target=url.raw_path
        )
        authority = url.netloc.decode("ascii")
        limits = {"connect": CONNECT_S, "read": READ_S, "write": READ_S, "pool": READ_S}
        async with self._pool.stream(
            "GET", target, headers=[("Host", authority), *HEADERS], extensions={"timeout": limits}
        ) as response:
            headers = {
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in response.headers
            }
            if response.status in REDIRECTS and "location" in headers:
                return headers["location"]
            check_headers(response.status, headers)
            return await read_image(response)

    async def aclose(self) -> None:
        """Closes all connections and the resolver's threads."""
        await self._pool.aclose()
        self._resolver.close()


def matches(host: str, entry: str) -> bool:
    """Whether a host matches an entry: `cdn.example.com` itself, `.example.com` all below it."""
    return host.endswith(entry) if entry.startswith(".") else host == entry


def check_headers(status: int, headers: dict[str, str]) -> None:
    """Refuses a response by its headers, before the body is read.

    Raises:
        UpstreamFailed, NotAnImage, TooLarge: the body can't be used.
    """
    if status != httpx.codes.OK:
        raise UpstreamFailed(f"the picture's host answered with status {status}")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UpstreamFailed("the picture's host sent an encoded body")
    content_type = headers.get("content-type", OCTETS).partition(";")[0].strip().lower()
    if content_type != OCTETS and not content_type.startswith("image/"):
        raise NotAnImage("the response is not an image")
    length = headers.get("content-length", "0")
    if length.isdigit() and int(length[:20]) > MAX_BYTES:
        raise TooLarge(f"the picture has more than {MAX_BYTES} bytes")


async def read_image(response: httpcore.Response) -> bytes:
    """The body, whose size is counted while it arrives.

    Raises:
        TooLarge: it has more than `MAX_BYTES`.
        NotAnImage: its first bytes are not those of an image.
    """
    data = bytearray()
    async for chunk in response.aiter_stream():
        data += chunk
        if len(data) > MAX_BYTES:
            raise TooLarge(f"the picture has more than {MAX_BYTES} bytes")
    if not data.startswith(MAGIC) and not is_in_container(bytes(data[:12])):
        raise NotAnImage("the response is not an image")
    return bytes(data)


def is_in_container(head: bytes) -> bool:
    """Whether a file that begins like this is WebP, or a container of AVIF or HEIC."""
    if head[4:8] == b"ftyp":
        return head[8:12] in BRANDS
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"
