"""Limits the memory that pictures of requests take: in total, per network and per caller."""

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from integrations.fair_semaphore import AllBusy, OwnerBusy, name_of, network_of

MAX_BYTES = 512_000_000
MAX_BYTES_PER_OWNER = 128_000_000
MAX_BYTES_PER_NETWORK = 256_000_000


class PictureMemory:
    """The bytes of pictures that the requests of one process hold."""

    def __init__(self) -> None:
        self._bytes: Counter[Hashable] = Counter()
        self._by_network: Counter[str] = Counter()

    @contextmanager
    def request(self, owner: Hashable) -> Iterator[None]:
        """Counts the pictures that `hold_picture` registers in the block, until the block ends."""
        request = PictureRequest(self, owner)
        token = _current.set(request)
        try:
            yield
        finally:
            _current.reset(token)
            request.end()

    def take(self, owner: Hashable, size: int) -> None:
        """Counts a picture.

        Raises:
            OwnerBusy, AllBusy: the pictures of the caller, of its network, or of all take too
                much memory.
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
        """Releases the bytes of pictures."""
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


class PictureRequest:
    """The pictures of one request; pictures that come after the request's end aren't counted."""

    def __init__(self, memory: PictureMemory, owner: Hashable) -> None:
        self._memory = memory
        self._owner = owner
        self._size = 0
        self._has_ended = False

    def hold(self, size: int) -> None:
        """Counts a picture, as `PictureMemory.take` does."""
        if not self._has_ended:
            self._memory.take(self._owner, size)
            self._size += size

    def end(self) -> None:
        """Releases all pictures."""
        self._has_ended = True
        self._memory.give_back(self._owner, self._size)


_current: ContextVar[PictureRequest | None] = ContextVar("picture_memory", default=None)


def hold_picture(size: int) -> None:
    """Counts a picture for the current request; jobs have no request, and have other limits.

    Raises:
        OwnerBusy, AllBusy: there is no memory left for it.
    """
    request = _current.get()
    if request is not None:
        request.hold(size)
