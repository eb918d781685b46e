"""Where replicas log: the studio's lines beside Ray's, in the session's log folder."""

import sys

from studio.logs import BatchHandler, configure_logging


def log_to_worker_files() -> BatchHandler:
    """Lines of the studio's loggers into this worker's file in Ray's log folder.

    Serve replaces `sys.stderr` by a stream that, in throughput mode, goes nowhere.
    """
    return configure_logging(sys.__stderr__)
