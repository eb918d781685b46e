"""The outer process of `studio up`: whatever happens to the inner one, nothing is left running."""

import os
import signal
import sys
from types import FrameType

from local.servers.process import adopt_orphans, die_with_parent, end_descendants

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ORPHANS_GRACE_S = 5.0


def wanted_stop_signals() -> list[signal.Signals]:
    """All of them; under `nohup` a closed terminal is no reason to stop."""
    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [number for number in STOP_SIGNALS if number != signal.SIGHUP or not ignored]


def split() -> int | None:
    """Forks: the inner process gets None and does the work, the outer one its exit code.

    The outer process passes stop signals on, adopts everything that loses its parent, and when
    the inner process has gone, even by SIGKILL, ends what is left. When the outer one is killed
    the inner one gets SIGTERM and stops in order.
    """
    if "MAKELEVEL" in os.environ:  # `make` killed: stop, rather than run on without a terminal
        die_with_parent(signal.SIGTERM, parent=os.getppid())()
    adopt_orphans()
    ask = die_with_parent(signal.SIGTERM)
    inner = os.fork()
    if inner == 0:
        ask()
        os.setsid()  # a signal to the whole group (Ctrl-C, systemd) must not fell Ray on its own
        return None
    return _watch(inner)


def _watch(inner: int) -> int:
    gone = False

    def pass_on(_number: int, _frame: FrameType | None) -> None:
        if not gone:
            os.kill(inner, signal.SIGTERM)

    for number in wanted_stop_signals():
        signal.signal(number, pass_on)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == inner:
            gone = True
            break
    left = end_descendants(ORPHANS_GRACE_S)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        sys.stderr.write(
            f"studio: its main process was killed by {signal.Signals(-code).name}; "
            f"everything it had started has been stopped ({len(left)} processes)\n"
        )
        return 1
    return code
