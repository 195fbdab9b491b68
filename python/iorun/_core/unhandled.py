"""Errors of tasks that nobody asks for: a task that is started and forgotten must not fail unseen."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Callable, Set

from iorun import exceptions

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

logger = logging.getLogger("iorun")


def log(error: BaseException) -> None:
    """Logs an error that nobody asked for."""
    logger.error("Unhandled error (suppress with 'RAY_IGNORE_UNHANDLED_ERRORS=1'): %s", error)


#: What is called with each: a program may put its own here, by `ray._private.worker`.
handler: Callable[[BaseException], None] = log


class UnhandledErrors:
    """The errors of this process's tasks that nobody has asked for yet. With the lock held.

    One is logged when its last reference goes.
    """

    def __init__(self, core: "CoreWorker"):
        self._core = core
        self._unseen: Set[bytes] = set()

    def failed(self, id: bytes, data: bytes) -> None:
        """The task that makes this object has failed."""
        entry = self._core.objects.entries.get(id)
        if entry is None or not (entry.local or entry.remote):
            self._report(data)
        else:
            self._unseen.add(id)

    def seen(self, id: bytes) -> None:
        """Somebody has the error now, or knows that it is there, or a task that needs it fails."""
        self._unseen.discard(id)

    def freed(self, id: bytes, data: bytes) -> None:
        """Nobody can ask for it any more."""
        if id in self._unseen:
            self._unseen.remove(id)
            self._report(data)

    def _report(self, data: bytes) -> None:
        if "RAY_IGNORE_UNHANDLED_ERRORS" not in os.environ:
            self._core.loop.deferred.append((self._tell, (data,)))

    def _tell(self, data: bytes) -> None:
        error = self._core.error_of(data)
        # Not of what was cancelled, or of actors that are dead: that is said elsewhere.
        if isinstance(error, exceptions.TaskCancelledError):
            return
        if isinstance(error, (exceptions.RayTaskError, exceptions.WorkerCrashedError)):
            handler(error)
