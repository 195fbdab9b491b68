"""What a worker has started ends with it: its process group, and whatever left the group.

The zygote is the subreaper of all below it: what a worker leaves behind becomes its child. It has
forked none of these itself, and each tells by its environment whose it was.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from typing import Optional, Set

from iorun._core import children
from iorun._system_config import SystemConfig

_PR_SET_CHILD_SUBREAPER = 36
#: The variable that names a worker to all that it starts.
_WORKER = b"IORUN_WORKER="

_libc = ctypes.CDLL(None, use_errno=True)


class Leftovers:
    """Of one zygote's workers."""

    def __init__(self) -> None:
        config = SystemConfig.inherited()
        self._wanted = bool(config["kill_child_processes_on_worker_exit"])
        #: Also what crashed workers had started in sessions of their own.
        self._all = bool(config["kill_child_processes_on_worker_exit_with_raylet_subreaper"])
        #: Workers that the agent ends, or whose leftovers are being ended.
        self._condemned: Set[str] = set()

    def adopt(self) -> None:
        """Makes this process the parent of whatever its workers leave behind."""
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def condemn(self, worker: str) -> None:
        """The agent is about to end this worker."""
        if self._wanted:
            self._condemned.add(worker)

    def worker_ended(self, worker: str, pid: int) -> None:
        """A worker is dead, and not reaped: its number, and its group's, is nobody else's."""
        if not (self._wanted or self._all):
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        if self._all:
            self._condemned.add(worker)

    def sweep(self, living: Set[str], known: Set[int]) -> None:
        """Ends what condemned workers have left. `known`: the living workers' processes.

        To be called again when one of them is reaped: its own children come here then.
        """
        dead = self._condemned - living
        if not dead:
            return
        found = False
        for pid in children.of(os.getpid()):
            if pid not in known and _worker_of(pid) in dead:
                found = True
                children.kill(pid)
        if not found:
            self._condemned -= dead


def _worker_of(pid: int) -> Optional[str]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read(1 << 20).split(b"\0")
    except OSError:
        return None
    for variable in variables:
        if variable.startswith(_WORKER):
            return variable[len(_WORKER) :].decode("ascii", "replace")
    return None
