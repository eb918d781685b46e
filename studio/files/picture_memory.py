"""Memory for callers' pictures: bounded in all and for each caller, until the request ends."""

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from integrations.shares import AllBusy, OwnerBusy, name_of, network_of

MAX_BYTES = 512_000_000
MAX_BYTES_PER_OWNER = 128_000_000
MAX_BYTES_PER_NETWORK = 256_000_000


class PictureMemory:
    """What the pictures of one process's requests take."""

    def __init__(self) -> None:
        self._bytes: Counter[Hashable] = Counter()
        self._by_network: Counter[str] = Counter()

    @contextmanager
    def request(self, owner: Hashable) -> Iterator[None]:
        """Pictures that `hold_picture` is told of in the block count until it ends."""
        request = Request(self, owner)
        token = _current.set(request)
        try:
            yield
        finally:
            _current.reset(token)
            request.end()

    def take(self, owner: Hashable, size: int) -> None:
        """Raises:
        OwnerBusy, AllBusy: the caller's pictures, those of its network, or all take too much.
        """
        name, network = name_of(owner), network_of(owner)
        if self._bytes[name] + size > MAX_BYTES_PER_OWNER or (
            network is not None and self._by_network[network] + size > MAX_BYTES_PER_NETWORK
        ):
            raise OwnerBusy("too many of your pictures are being worked on already")
        if self._bytes.total() + size > MAX_BYTES:
            raise AllBusy("too many pictures are being worked on already")
        self._count(owner, size)

    def give_back(self, owner: Hashable, size: int) -> None:
        """The pictures are gone."""
        self._count(owner, -size)

    def _count(self, owner: Hashable, change: int) -> None:
        name, network = name_of(owner), network_of(owner)
        self._bytes[name] += change
        if self._bytes[name] <= 0:
            del self._bytes[name]
        if network is None:
            return
        self._by_network[network] += change
        if self._by_network[network] <= 0:
            del self._by_network[network]


class Request:
    """What one request holds; work that outlives it holds nothing in its name."""

    def __init__(self, memory: PictureMemory, owner: Hashable) -> None:
        self._memory = memory
        self._owner = owner
        self._size = 0
        self._has_ended = False

    def hold(self, size: int) -> None:
        """Raises: as `PictureMemory.take`."""
        if not self._has_ended:
            self._memory.take(self._owner, size)
            self._size += size

    def end(self) -> None:
        """Gives everything back."""
        self._has_ended = True
        self._memory.give_back(self._owner, self._size)


_current: ContextVar[Request | None] = ContextVar("picture_memory", default=None)


def hold_picture(size: int) -> None:
    """Counts a picture for the current request; jobs have no request and bounds of their own.

    Raises:
        OwnerBusy, AllBusy: there is no room for it.
    """
    request = _current.get()
    if request is not None:
        request.hold(size)
