"""Tells the agent what becomes of tasks, for `list tasks` and the timeline: in batches, thinned."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Set

from iorun._core import ops, serialization

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

_EVERY = 0.2
#: How often it is told which tasks wait and which run.
_OPEN_EVERY = 1.0
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
        #: Whether somebody will look at what is open.
        self.looking = False
        #: Numbers of the tasks of which the agent believes that they are not over: their end is told
        #: in any case.
        self.told: Set[int] = set()

    def submitted(self) -> None:
        """There are open tasks. With the lock held."""
        self.looking = True
        self.core.loop.after(_OPEN_EVERY, self._look)

    def _look(self) -> None:
        """Notes which tasks wait and which run, as far as a report has room for it."""
        tasks = self.core.tasks.open
        self.looking = False
        if not tasks:
            return
        now, clock = time.time(), time.perf_counter()
        # The oldest ones are those that run.
        for number, task in itertools.islice(tasks.items(), _MOST):
            place = task.place
            inflight = getattr(place, "inflight", None)
            # Whoever runs calls runs them in their order.
            running = bool(inflight) and next(iter(inflight)) == number
            since = getattr(place, "progress_at", 0.0) if running else 0.0
            when = now - (clock - since) if since else now
            self._rows.append(self._row(task, "RUNNING" if running else "PENDING", "", when))
            self.told.add(number)
        if not self._scheduled:
            self._schedule()
        self.submitted()

    def ended(self, task: Any, error: Optional[bytes]) -> None:
        """A task has ended. With the lock held."""
        rows = self._rows
        if task.number in self.told:
            self.told.discard(task.number)
        elif len(rows) >= _MOST:
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
