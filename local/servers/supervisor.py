"""The supervisor of `studio up`: an outer process that ends everything when the inner one ends."""

import os
import signal
import sys
from types import FrameType

from local.servers.process import adopt_orphans, die_with_parent, end_descendants

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ORPHANS_GRACE_S = 5.0


def stop_signals() -> list[signal.Signals]:
    """The signals that stop the studio; under `nohup` a closed terminal does not."""
    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [number for number in STOP_SIGNALS if number != signal.SIGHUP or not ignored]


def fork_worker() -> int | None:
    """Forks; returns None in the inner process, and the inner one's exit code in the outer.

    The outer process forwards stop signals and adopts orphans. When the inner process has ended,
    even by SIGKILL, it ends all processes that are left. When the outer process is killed, the
    inner one gets SIGTERM and stops cleanly.
    """
    if "MAKELEVEL" in os.environ:  # stop when `make` is killed
        die_with_parent(signal.SIGTERM, parent=os.getppid())()
    adopt_orphans()
    set_death_signal = die_with_parent(signal.SIGTERM)
    inner = os.fork()
    if inner == 0:
        set_death_signal()
        os.setsid()  # a signal to the whole group (Ctrl-C, systemd) must not end Ray first
        return None
    return _watch(inner)


def _watch(inner: int) -> int:
    has_ended = False

    def forward(_number: int, _frame: FrameType | None) -> None:
        if not has_ended:
            os.kill(inner, signal.SIGTERM)

    for number in stop_signals():
        signal.signal(number, forward)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == inner:
            has_ended = True
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
