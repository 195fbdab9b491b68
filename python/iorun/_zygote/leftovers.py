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
#: Instead of a worker: not to be told any more.
_ENDING = ""

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
        if self._wanted and worker:
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
            if pid in known:
                continue
            worker = _worker_of(pid)
            if worker in dead:
                children.kill(pid)
            # One that is ending cannot say whose it was, and what it has started comes here then.
            found = found or worker in dead or worker == _ENDING
        if not found:
            self._condemned -= dead


def _worker_of(pid: int) -> Optional[str]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read(1 << 20)
    except OSError:
        variables = b""
    if not variables and _is_ending(pid):
        return _ENDING
    for variable in variables.split(b"\0"):
        if variable.startswith(_WORKER):
            return variable[len(_WORKER) :].decode("ascii", "replace")
    return None


def _is_ending(pid: int) -> bool:
    """Whether a process has let go of its memory, unlike one that has no variables."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return file.read().startswith(b"0 ")
    except OSError:
        return True
