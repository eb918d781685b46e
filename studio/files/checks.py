"""Checks the content of uploads: one check at a time for a file, a few for an account."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar
from uuid import UUID

import anyio
import anyio.to_thread

from db.tables import File
from errors import Conflict, DeadlinePassed, Invalid, NotAnImage
from integrations.blobs.keys import BlobInfo, content_type_of
from integrations.fair_semaphore import FairSemaphore
from studio.context import shared_task
from studio.files.rules import DATASET_TYPES, DatasetCheck, FileFacts, inspect_file
from studio.ports import BlobStore

PLACES = 4
PLACES_PER_ACCOUNT = 2
WAITING = 64
WAITING_PER_ACCOUNT = 16
DEADLINE_S = 120.0

Result = TypeVar("Result")


class FileChecks:
    """The checks of one Gateway; only a few run at once, because they hold pictures in memory."""

    def __init__(self) -> None:
        self._shares = FairSemaphore(
            places=PLACES,
            per_owner=PLACES_PER_ACCOUNT,
            waiting=WAITING,
            waiting_per_owner=WAITING_PER_ACCOUNT,
        )
        self._threads = anyio.CapacityLimiter(PLACES)
        self._running: dict[UUID, asyncio.Task[File]] = {}

    async def share(
        self, owner_id: UUID, file_id: UUID, check: Callable[[], Awaitable[File]]
    ) -> File:
        """Runs `check`; concurrent calls for the same file share one run and its result.

        The check continues when a caller disconnects.

        Raises:
            OwnerBusy, AllBusy: too many checks are waiting.
        """
        task = self._running.get(file_id)
        if task is None:
            task = shared_task(self._run(owner_id, check), name="file check")
            self._running[file_id] = task
            task.add_done_callback(lambda _: self._running.pop(file_id, None))
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Cancels the running checks; their files can be checked again."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, owner_id: UUID, check: Callable[[], Awaitable[File]]) -> File:
        async with self._shares.place(owner_id):
            return await check()

    async def inspect(self, blobs: BlobStore, file: File) -> FileFacts:
        """Reads the uploaded file and returns its facts.

        Raises:
            Conflict: nothing was uploaded yet.
            NotAnImage, Invalid, TooLarge: the file is not what was announced.
            DeadlinePassed: the blob store is too slow.
        """
        blob = await blobs.head(file.blob_key)
        if blob is None:
            raise Conflict("nothing was uploaded yet")
        check_announced(file, blob)
        try:
            async with asyncio.timeout(DEADLINE_S):
                if file.purpose == "dataset":
                    return await self._inspect_dataset(blobs, file)
                data = await blobs.get(file.blob_key)  # at most 15 MB, as announced
                inspect = partial(inspect_file, data, file.purpose, file.content_type)
                return await self._in_thread(inspect)
        except TimeoutError:
            raise DeadlinePassed("the upload could not be read in time") from None

    async def _inspect_dataset(self, blobs: BlobStore, file: File) -> FileFacts:
        check = DatasetCheck(DATASET_TYPES[file.content_type])
        async for piece in blobs.stream(file.blob_key):
            await self._in_thread(partial(check.feed, piece))
        return check.finish()

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await anyio.to_thread.run_sync(work, limiter=self._threads)


def check_announced(file: File, blob: BlobInfo) -> None:
    """Compares a blob with the announced file.

    Raises:
        Invalid: it has another size, or a Content-Encoding that readers would decode.
        NotAnImage: it has another type.
    """
    if blob.size != file.size_bytes:
        raise Invalid(f"{blob.size} bytes were uploaded, {file.size_bytes} were announced")
    if blob.content_type not in (file.content_type, content_type_of(file.blob_key)):
        raise NotAnImage(f"the upload's Content-Type is not {file.content_type} as announced")
    if blob.content_encoding not in (None, "identity"):
        raise Invalid("the upload has a Content-Encoding; upload the bytes as they are")
