"""Where replicas log: the studio's lines beside Ray's, in the session's log folder."""

import asyncio
import sys
from contextlib import suppress
from functools import partial

from deployments.serve.patches import read_request_id
from studio.background import Background
from studio.context import take_request_ids_from
from studio.telemetry.logs import FLUSH_EVERY_S, BatchHandler, configure_logging

_flushing: list[Background] = []
"""The task that flushes in this process, once there is an event loop."""


def log_to_worker_files() -> BatchHandler:
    """Sends the studio's log lines to this worker's file in Ray's log folder.

    Calling it again returns the same handler. Serve replaces `sys.stderr` by a stream that discards
    its input in throughput mode. Every line names the request that caused it: Serve carries the id
    from replica to replica.
    """
    take_request_ids_from(read_request_id)
    handler = configure_logging(sys.__stderr__)
    if not _flushing:
        with suppress(RuntimeError):  # without an event loop the caller flushes
            asyncio.get_running_loop()
            _flushing.append(Background())
            _flushing[0].start("log-flush", partial(_flush_often, handler))
    return handler


async def _flush_often(handler: BatchHandler) -> None:
    while True:
        await asyncio.sleep(FLUSH_EVERY_S)
        handler.flush()
