"""What this driver's workers print: comes from the agents, is kept for a while, and is printed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Dict, Optional

from iorun._core import ops
from iorun._core.hub import HubError
from iorun._core.logs import LogPrinter, RecentOutput

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

#: A driver that shuts down waits for workers' output until none has come for so long …
_QUIET = 0.1
#: … but not longer than this.
_PATIENCE = 0.5


class WorkerOutput:
    """The output of a job's workers, in their driver."""

    def __init__(self, core: "CoreWorker"):
        self._core = core
        #: Whether lines are printed here.
        self.prints = False
        #: For `util.state.get_log`.
        self.recent = RecentOutput()
        self._last = 0.0
        self._printer: Optional[LogPrinter] = None
        self._timer = False
        self._addresses: Dict[str, Optional[str]] = {}

    def take(self, body: Dict[str, Any], _blob: bytes) -> None:
        """Lines have come. With the lock held."""
        core = self._core
        here = core.node_id.hex()
        node = str(body.get("node") or here)
        self.recent.take(node, body)
        if not self.prints:
            return
        self._last = time.monotonic()
        if node == here or node in self._addresses:
            core.loop.deferred.append((self._printing().print, (body,)))
        else:
            self._print_later(body)
        if not self._timer:
            self._timer = True
            core.loop.after(1.0, self._flush)

    def await_last(self) -> None:
        """Waits until nothing comes any more, but not for long.

        What a task printed comes by another way than its result, and a little later: a program
        that ends right after its last `get` shall show it, too.
        """
        start = self._last = time.monotonic()
        while True:
            now = time.monotonic()
            if now - self._last > _QUIET or now - start > _PATIENCE:
                self._printing().flush(everything=True)
                return
            time.sleep(0.01)

    def _printing(self) -> LogPrinter:
        if self._printer is None:
            self._printer = LogPrinter(self._core.node_id.hex(), self._addresses.get)
        return self._printer

    def _print_later(self, body: Dict[str, Any]) -> None:
        """Prints lines of a node whose address the agent must say first. With the lock held."""

        def told(answer: Dict[str, Any], _blob: bytes, error: Optional[HubError]) -> None:
            for known in answer.get("nodes", []) if error is None else []:
                self._addresses[known.get("node", "")] = known.get("address")
            self._core.loop.deferred.append((self._printing().print, (body,)))

        self._core.hub.start(ops.NODES, {}, told)

    def _flush(self) -> None:
        printer = self._printing()
        self._timer = bool(printer.repetitions)
        self._core.loop.deferred.append((printer.flush, ()))
        if self._timer:
            self._core.loop.after(1.0, self._flush)
