"""Processes that this one has started."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import Iterator, List


def end_children() -> None:
    """Ends the children of this process, but not what these have started."""
    for pid in of(os.getpid()):
        kill(pid)


def end_awaited_children() -> None:
    """Ends those that the interpreter would wait for at its end, perhaps for good."""
    module = sys.modules.get("multiprocessing.process")
    for child in list(getattr(module, "_children", ())):
        if not child.daemon:
            child.kill()


def kill(pid: int) -> None:
    """SIGKILL, where it is still there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def of(parent: int) -> Iterator[int]:
    """The children of a process; nothing on a kernel that does not tell."""
    folder = f"/proc/{parent}/task"
    for thread in _listed(folder):
        with contextlib.suppress(OSError):
            with open(f"{folder}/{thread}/children", "rb") as file:
                yield from map(int, file.read().split())


def _listed(folder: str) -> List[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
