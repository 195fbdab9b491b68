"""The core of this process, where it is attached to a network."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

_worker: Optional["CoreWorker"] = None
_lock = threading.Lock()


def worker() -> Optional["CoreWorker"]:
    """This process's core, or None where it is not attached."""
    return _worker


def require() -> "CoreWorker":
    """This process's core. Raises RuntimeError where it is not attached."""
    core = _worker
    if core is None:
        raise RuntimeError(
            "This process is not attached to a network (any more): call `init()` first. "
            "References and handles of an earlier session cannot be used."
        )
    return core


def connect(hub_path: str, **options: Any) -> "CoreWorker":
    """Attaches this process to the agent behind a socket."""
    global _worker
    from iorun._core.core_worker import CoreWorker

    with _lock:
        if _worker is not None:
            raise RuntimeError("This process is attached already.")
        core = CoreWorker.connect(hub_path, **options)
        _worker = core
    return core


def disconnect() -> None:
    """Lets go of the network; nothing happens where the process is not attached."""
    global _worker
    with _lock:
        core, _worker = _worker, None
    if core is not None:
        core.shutdown()


def _forget() -> None:
    # In a forked child: the sockets are the parent's, and its threads are not here.
    global _worker, _lock
    core, _worker = _worker, None
    _lock = threading.Lock()
    if core is not None:
        core.forked()


os.register_at_fork(after_in_child=_forget)
