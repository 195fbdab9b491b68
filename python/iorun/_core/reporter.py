"""Tells the agent what becomes of tasks, for `list tasks` and the timeline: in batches, thinned."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from iorun._core import ops, serialization

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

_EVERY = 0.2
#: More tasks than that in one interval are not told of one by one.
_MOST = 200


class Reporter:
    """What was not told yet."""

    def __init__(self, core: "CoreWorker"):
        self.core = core
        self.wanted = True
        #: How long the call that is being answered ran, in units of 16 us.
        self.units = 0
        self._rows: List[List[Any]] = []
        self._scheduled = False

    def ended(self, task: Any, error: Optional[bytes]) -> None:
        """A task has ended. With the lock held."""
        rows = self._rows
        if len(rows) >= _MOST:
            # Until the next interval: the hot path does not even call.
            self.wanted = False
            return
        kind = ""
        state = "FINISHED"
        if error is not None:
            state = "CANCELLED" if task.cancelled else "FAILED"
            try:
                kind = type(serialization.loads(error)).__name__
            except Exception as problem:
                kind = type(problem).__name__
        now = time.time()
        if task.place is not None:
            # When it began, of which nobody was told then.
            rows.append(self._row(task, "RUNNING", "", now - self.units * 16e-6))
        self.units = 0
        rows.append(self._row(task, state, kind, now))
        if not self._scheduled:
            self._schedule()

    def _row(self, task: Any, state: str, kind: str, when: float) -> List[Any]:
        place = task.place
        worker = place.peer.worker.hex() if place is not None and place.peer is not None else ""
        id = task.core.worker_id + task.number.to_bytes(8, "little")
        return [id.hex(), task.template.name, state, task.attempt, when, worker, kind]

    def _schedule(self) -> None:
        self._scheduled = True
        self.core.loop.after(_EVERY, self._send)

    def _send(self) -> None:
        self._scheduled = False
        self.wanted = True
        rows, self._rows = self._rows, []
        if rows:
            self.core.hub.note(ops.REPORT, {"tasks": rows})

    def snapshot(self) -> List[Dict[str, Any]]:
        """The unfinished tasks of this process."""
        with self.core.loop.lock:
            return [
                {
                    "task_id": (self.core.worker_id + n.to_bytes(8, "little")).hex(),
                    "name": task.template.name,
                    "state": "PENDING" if task.place is None else "RUNNING",
                }
                for n, task in list(self.core.tasks.open.items())[:10_000]
            ]
