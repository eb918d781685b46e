"""Sends the logs of replicas to files beside Ray's own, in the session's log folder."""

import asyncio
import sys
from contextlib import suppress
from functools import partial

from deployments.serve.patches import read_request_id
from studio.background import Background
from studio.context import take_request_ids_from
from studio.telemetry.logs import BatchHandler, configure_logging, flush_often

_background = Background()
"""Runs the task that flushes in this process, once there is an event loop."""


def log_to_worker_files() -> BatchHandler:
    """Sends the studio's log lines to this worker's file in Ray's log folder.

    Calling it again returns the same handler. Serve replaces `sys.stderr` by a stream that discards
    its input in throughput mode. Every line names the request that caused it: Serve carries the id
    from replica to replica.
    """
    take_request_ids_from(read_request_id)
    handler = configure_logging(sys.__stderr__)
    if not handler.is_flushed:
        with suppress(RuntimeError):  # without an event loop the caller flushes
            asyncio.get_running_loop()
            _background.start("log-flush", partial(flush_often, handler))
            handler.is_flushed = True
    return handler
