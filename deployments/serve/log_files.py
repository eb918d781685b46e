"""Where replicas log: the studio's lines beside Ray's, in the session's log folder."""

import asyncio
import sys
from contextlib import suppress
from dataclasses import replace
from functools import partial

from ray.serve import context as calls

from studio.background import Background
from studio.context import take_request_ids_from
from studio.telemetry.logs import FLUSH_EVERY_S, BatchHandler, configure_logging

_flushing: list[Background] = []
"""What flushes in this process, once there is an event loop."""


def log_to_worker_files() -> BatchHandler:
    """Lines of the studio's loggers into this worker's file in Ray's log folder.

    Serve replaces `sys.stderr` by a stream that, in throughput mode, goes nowhere. Every line says
    which request caused it: Serve carries the id from replica to replica.
    """
    take_request_ids_from(carried_request_id)
    handler = configure_logging(sys.__stderr__)
    if not _flushing:
        with suppress(RuntimeError):  # no event loop: whoever called this flushes
            asyncio.get_running_loop()
            _flushing.append(Background())
            _flushing[0].start("log-flush", partial(_flush_often, handler))
    return handler


def carried_request_id() -> str:
    """Of the call that this task serves; empty where it serves none."""
    return str(calls._get_serve_request_context().request_id)


def carry_request_id(request_id: str) -> None:
    """The next calls of this task carry it along."""
    carried = calls._get_serve_request_context()
    if carried.request_id != request_id:
        calls._serve_request_context.set(replace(carried, request_id=request_id))  # type: ignore[arg-type]


async def _flush_often(handler: BatchHandler) -> None:
    while True:
        await asyncio.sleep(FLUSH_EVERY_S)
        handler.flush()
