"""One actor as its callers see it: its state, and their calls in their order."""

from __future__ import annotations

import base64
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Dict, List, Optional

from iorun import exceptions
from iorun._core import failures, serialization
from iorun._core.tasks import DependencyPending, Task

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

logger = logging.getLogger("iorun")

_ORDER = {"PENDING": 0, "PLACED": 1, "ALIVE": 2, "RESTARTING": 3, "DEAD": 4}


class ActorClient:
    """One actor, for all handles of it in this process. With the lock held."""

    __slots__ = (
        "__weakref__",
        "cause",
        "class_name",
        "concurrency",
        "core",
        "created",
        "creation_error",
        "creation_held",
        "handle_id",
        "holding",
        "id",
        "incarnation",
        "inflight",
        "max_pending",
        "name",
        "namespace",
        "out_of_order",
        "peer",
        "pending",
        "released",
        "restarts",
        "state",
        "waiting",
    )

    def __init__(self, core: "CoreWorker", id: bytes):
        self.core = core
        self.id = id
        self.state = "PENDING"
        self.incarnation = -1
        self.restarts = 0
        self.peer: Any = None
        self.waiting: Deque[Task] = deque()
        self.inflight: Dict[int, Task] = {}
        self.pending = 0
        self.max_pending = -1
        self.out_of_order = False
        #: How many of its calls can run at once, as far as its class says.
        self.concurrency = 1
        self.cause: Optional[Dict[str, Any]] = None
        self.creation_error: Optional[Exception] = None
        self.class_name = ""
        self.name: Optional[str] = None
        self.namespace: Optional[str] = None
        #: The object id that counts handles; None where nobody counts (detached, looked up).
        self.handle_id: Optional[bytes] = None
        self.holding = False
        self.created = False
        self.released = False
        # References inside the creation payload: it may be used again for a restart.
        self.creation_held: List[bytes] = []

    def submit(self, task: Task) -> None:
        """Calls the actor: now, or in its turn."""
        if self.state == "DEAD":
            self.core.tasks.fail(task, failures.of_actor(self, self.cause))
            return
        if self.restarts and self.state != "ALIVE" and not task.retries:
            # What must not run twice does not wait for what may never come; Ray's rule.
            reason = f"The actor is restarting. {failures.describe(self.cause or {})}"
            self.core.tasks.fail(task, exceptions.ActorUnavailableError(reason, self.id))
            return
        if not self.pending and self.handle_id is not None:
            # Calls keep the actor as handles do.
            entry = self.core.objects.entries.get(self.handle_id)
            if entry is not None:
                entry.local += 1
                self.holding = True
        self.pending += 1
        if not task.dependencies and not self.waiting and self.peer is not None:
            self.inflight[task.number] = task
            task.place = self
            task.send_to(self.peer)
            return
        self.waiting.append(task)
        task.missing = 0
        if task.dependencies:
            self.core.tasks.resolve(task, self._resolved)
            # `missing` is 0 again only when all is there.
            if task.missing:
                return
        self.pump()

    def _resolved(self, _: Task) -> None:
        self.pump()

    def pump(self) -> None:
        """Sends what can be sent, in order."""
        waiting = self.waiting
        if self.peer is None:
            return
        skipped: List[Task] = []
        while waiting:
            task = waiting[0]
            if task.finished:
                waiting.popleft()
                self._one_less()
                continue
            if task.missing:
                if not self.out_of_order:
                    break
                skipped.append(waiting.popleft())
                continue
            waiting.popleft()
            self.inflight[task.number] = task
            task.place = self
            try:
                task.send_to(self.peer)
            except KeyError as error:
                del self.inflight[task.number]
                self.core.tasks.fail(task, self.core.lost_error(error.args[0]))
                self._one_less()
            except DependencyPending:
                # Later calls keep their turn behind it.
                del self.inflight[task.number]
                task.place = None
                waiting.appendleft(task)
                self.core.tasks.resolve(task, self._resolved)
        waiting.extendleft(reversed(skipped))

    def replied(self, number: int, _units: int) -> None:
        """A call has ended."""
        if self.inflight.pop(number, None) is not None:
            self._one_less()

    def call_again(self, task: Task) -> None:
        """A call that has ended in an error is to be made once more, before those that wait."""
        # Where the actor has restarted meanwhile, it waits already.
        if self.inflight.pop(task.number, None) is not None:
            task.place = None
            self.waiting.appendleft(task)
        # What it depends on may be lost once more by now.
        self.pump()

    def _one_less(self) -> None:
        self.pending -= 1
        if not self.pending and self.holding and self.handle_id is not None:
            self.holding = False
            self.core.objects.release(self.handle_id)

    # States

    def update(self, status: Dict[str, Any], blob: bytes) -> None:
        """The network says how the actor is."""
        state = status.get("state", "PENDING")
        incarnation = int(status.get("incarnation") or 0)
        if self.state == "DEAD" or (incarnation, _ORDER.get(state, 0)) <= (
            self.incarnation,
            _ORDER[self.state],
        ):
            return
        self.name = status.get("name") or self.name
        self.namespace = status.get("namespace") or self.namespace
        self.class_name = status.get("className") or self.class_name
        if state in ("PLACED", "ALIVE"):
            node = bytes.fromhex(status["node"])
            if incarnation > self.incarnation >= 0 and self.inflight:
                if int(status.get("restarts") or 0) == self.restarts:
                    # Its first place did not take it: nothing has run there.
                    self._never_ran()
                else:
                    self._lost_calls(status.get("cause"))
            self.incarnation = incarnation
            self.state = state
            if state == "ALIVE" or node != self.core.node_id:
                self.peer = self.core.peer(bytes.fromhex(status["worker"]), node)
                self.pump()
        elif state == "RESTARTING":
            self.incarnation = max(incarnation, self.incarnation)
            self.state = state
            self.peer = None
            self.cause = status.get("cause")
            self._lost_calls(self.cause)
        elif state == "DEAD":
            self.state = state
            self.incarnation = max(incarnation, self.incarnation)
            self.cause = status.get("cause") or self.cause
            self._read_creation_error(self.cause, blob)
            self._dead()
        self.restarts = int(status.get("restarts") or 0)

    def _read_creation_error(self, cause: Optional[Dict[str, Any]], blob: bytes) -> None:
        # What a constructor has thrown in a process of another node comes with the cause.
        told = (cause or {}).get("error")
        if told:
            blob = base64.b64decode(told)
        if not blob:
            return
        try:
            error = serialization.loads(blob)
        except Exception as problem:
            logger.debug("an actor's creation error does not unpickle here: %s", problem)
            return
        if isinstance(error, exceptions.RayTaskError):
            self.creation_error = exceptions.ActorDiedError(error)
        elif isinstance(error, exceptions.RayError):
            self.creation_error = error

    def connection_lost(self) -> None:
        """The way to the actor's process has ended; its state will come from the network."""
        self.peer = None

    def _never_ran(self) -> None:
        inflight, self.inflight = self.inflight, {}
        for task in inflight.values():
            task.place = None
        self.waiting.extendleft(reversed(list(inflight.values())))

    def _lost_calls(self, cause: Optional[Dict[str, Any]]) -> None:
        inflight, self.inflight = self.inflight, {}
        again: List[Task] = []
        for task in inflight.values():
            task.place = None
            if task.retries and not task.cancelled and not task.finished:
                if task.retries > 0:
                    task.retries -= 1
                task.attempt += 1
                again.append(task)
                continue
            self.core.tasks.fail(
                task,
                exceptions.ActorUnavailableError(
                    # Programs look for "RpcError" in the text.
                    "RpcError: its process was lost while it ran the call: "
                    f"{failures.describe(cause)} It restarts.",
                    self.id,
                ),
            )
            self._one_less()
        self.waiting.extendleft(reversed(again))

    def _dead(self) -> None:
        self.peer = None
        error = serialization.dump_error(failures.of_actor(self, self.cause))
        for task in [*self.inflight.values(), *self.waiting]:
            self.core.tasks.fail_with_bytes(task, error)
            self._one_less()
        self.inflight = {}
        self.waiting.clear()
        held, self.creation_held = self.creation_held, []
        for id in held:
            self.core.objects.release(id)
