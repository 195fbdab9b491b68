"""Tells the agent what becomes of tasks, for `list tasks` and the timeline: in batches, thinned."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from iorun._core import ops, serialization
from iorun._core.calls import task_id

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

_EVERY = 0.2
#: So often unfinished tasks are told of, if there are any.
_LOOK = 0.5
#: More tasks than that in one interval are not told of one by one.
_MOST = 200
#: Of so many tasks this process remembers what the agent does not keep.
_REMEMBERED = 20_000


class Reporter:
    """What was not told yet."""

    def __init__(self, core: "CoreWorker"):
        self.core = core
        self.wanted = True
        #: How long the call that is being answered ran, in units of 16 us.
        self.units = 0
        self._rows: List[List[Any]] = []
        self._scheduled = False
        #: Whether somebody will look at unfinished tasks.
        self.watching = False
        self._told: Dict[int, str] = {}
        #: What the agent does not keep of the tasks that it was told of, by id; see `about`.
        self._about: Dict[str, Dict[str, Any]] = {}

    def ended(self, task: Any, error: Optional[bytes]) -> None:
        """A task has ended. With the lock held."""
        if task.template.spec.get("untold"):
            return
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
        self._remember(id.hex(), task)
        actor = place.id.hex() if task.template.queue is None and place is not None else ""
        return [
            id.hex(),
            task.template.name,
            state,
            task.attempt,
            when,
            worker,
            kind,
            _parent_of(task),
            actor,
        ]

    def _remember(self, id: str, task: Any) -> None:
        about = self._about.get(id)
        if about is None:
            if len(self._about) >= _REMEMBERED:
                for old in list(islice(self._about, _REMEMBERED // 4)):
                    del self._about[old]
            about = self._about[id] = _about(task)
        if task.template.queue is None and task.place is not None:
            about["actor_id"] = task.place.id.hex()

    def about(self) -> Dict[str, Dict[str, Any]]:
        """By id, more of this process's own tasks than the agent knows. With the lock held."""
        known = {id: dict(about) for id, about in self._about.items()}
        for number, task in islice(self.core.tasks.open.items(), _MOST):
            if task.template.spec.get("untold"):
                continue
            id = (self.core.worker_id + number.to_bytes(8, "little")).hex()
            known.setdefault(id, _about(task))["state"] = _precise_state(task)
        return known

    def _schedule(self) -> None:
        self._scheduled = True
        self.core.loop.after(_EVERY, self._due)

    def _due(self) -> None:
        self._scheduled = False
        self._send()

    def _send(self) -> None:
        self.wanted = True
        rows, self._rows = self._rows, []
        if rows:
            self.core.hub.note(ops.REPORT, {"tasks": rows})

    def watch(self) -> None:
        """There are unfinished tasks: looks at them in a moment. With the lock held."""
        self.watching = True
        self.core.loop.after(_LOOK, self._look)

    def tell(self) -> None:
        """Says now what it would say in a moment. With the lock held."""
        self._find()
        self._send()

    def _look(self) -> None:
        if not self.core.tasks.open:
            self.watching = False
            self._told.clear()
            return
        self._find()
        self.core.loop.after(_LOOK, self._look)

    def _find(self) -> None:
        now = time.time()
        told, self._told = self._told, {}
        # The oldest come first; a million that wait are not told of one by one.
        for number, task in islice(self.core.tasks.open.items(), _MOST):
            if task.template.spec.get("untold"):
                continue
            state = self._state(task)
            self._told[number] = state
            if told.get(number) != state:
                self._rows.append(self._row(task, state, "", now))
        if self._rows and not self._scheduled:
            self._schedule()

    def _state(self, task: Any) -> str:
        place = task.place
        if place is None:
            return "PENDING"
        inflight = getattr(place, "inflight", None)
        if task.template.queue is not None and inflight and next(iter(inflight)) != task.number:
            # It waits behind another one at the same worker.
            return "PENDING"
        return "RUNNING"


def _parent_of(task: Any) -> str:
    # The driver counts as a task of its own.
    parent: bytes = task.parent or task_id(task.core.worker_id, 0)
    return parent.hex()


def _about(task: Any) -> Dict[str, Any]:
    spec = task.template.spec
    is_actors = task.template.queue is None
    function = str(spec.get("function") or task.template.name)
    return {
        "type": "ACTOR_TASK" if is_actors else "NORMAL_TASK",
        "func_or_class_name": function if is_actors else function.rpartition(".")[2],
        "parent_task_id": _parent_of(task),
        "required_resources": dict(spec.get("resources") or {}),
    }


def _precise_state(task: Any) -> str:
    """Where an open task is, in Ray's words."""
    place = task.place
    if place is None:
        return "PENDING_ARGS_AVAIL" if task.missing else "PENDING_NODE_ASSIGNMENT"
    is_actors = task.template.queue is None
    first = islice(place.inflight, place.concurrency if is_actors else 1)
    if task.number in first:
        return "RUNNING"
    if is_actors:
        return "PENDING_ACTOR_TASK_ORDERING_OR_CONCURRENCY"
    return "PENDING_NODE_ASSIGNMENT"
