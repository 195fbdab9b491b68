"""What a system under measurement costs: processor time and memory of a whole tree of processes.

The coordinator makes itself the reaper of orphans, so that daemons which detach from their parent
stay in its tree and are counted.
"""

import ctypes
import os
import signal
import time
from typing import Dict, List, NamedTuple

_PR_SET_CHILD_SUBREAPER = 36
_TICKS = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """What a tree of processes holds in memory, in bytes, and how many processes it has."""

    processes: int
    threads: int
    resident: int
    proportional: int


def adopt_orphans() -> None:
    """Makes orphaned descendants children of this process, which must reap them."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _stat(pid: int) -> List[bytes]:
    with open(f"/proc/{pid}/stat", "rb") as file:
        # The name is in brackets and may hold anything, brackets too.
        return file.read().rpartition(b")")[2].split()


def descendants(root: int) -> List[int]:
    """The living processes below `root`, without `root` itself."""
    children: Dict[int, List[int]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            fields = _stat(int(entry))
        except (FileNotFoundError, ProcessLookupError):
            continue  # It ended between the listing and the reading.
        if fields[0] != b"Z":
            children.setdefault(int(fields[1]), []).append(int(entry))
    found: List[int] = []
    queue = [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def processor_seconds(root: int) -> float:
    """Processor time that the processes below `root` have used so far, dead ones included.

    The living are read from their processor clocks (nanoseconds; /proc counts in hundredths of a
    second), the dead from what their parents have waited for.
    """
    total = 0.0
    for pid in descendants(root):
        try:
            # The clock id of another process's processor clock, as clock_getcpuclockid makes it.
            total += time.clock_gettime((~pid << 3) | 2)
            fields = _stat(pid)
            total += (int(fields[13]) + int(fields[14])) / _TICKS
        except (OSError, ProcessLookupError):
            continue
    return total


def usage(root: int) -> Usage:
    """Memory and threads of the processes below `root`."""
    processes = threads = resident = proportional = 0
    for pid in descendants(root):
        try:
            with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
                sizes = dict(line.split()[:2] for line in file if line.count(b"kB"))
            threads += len(os.listdir(f"/proc/{pid}/task"))
        except (FileNotFoundError, ProcessLookupError):
            continue
        processes += 1
        resident += int(sizes[b"Rss:"]) * 1024
        proportional += int(sizes[b"Pss:"]) * 1024
    return Usage(processes, threads, resident, proportional)


def reap() -> None:
    """Waits for every child that has already ended."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return


def end_descendants(root: int, grace: float = 5.0, spare: int = 0) -> int:
    """Ends what is left below `root` but for `spare`; returns how many had to be killed."""

    def living() -> List[int]:
        return [pid for pid in descendants(root) if pid != spare]

    deadline = time.monotonic() + grace
    while True:
        reap()
        left = living()
        if not left or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    deadline = time.monotonic() + grace
    while living() and time.monotonic() < deadline:
        reap()
        time.sleep(0.02)
    reap()
    return len(left)
