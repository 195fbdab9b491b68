"""Tasks on their way to workers: a queue for each kind of need, leases, windows, stealing.

A lease is the right to run tasks on one worker. Calls are pushed to it ahead of their turn, so
many that it has some milliseconds (and a round trip) of work: short tasks go deep, long ones one
by one. Where one lease runs dry, unstarted calls of another are called back.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Dict, List, Set

from iorun._core import failures, ops
from iorun._core.frames import STEAL, frame
from iorun._core.hub import HubError
from iorun._core.tasks import DependencyPending, Task

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

logger = logging.getLogger("iorun")

#: So many microseconds of work a lease may have before it.
_AHEAD = 8_000.0
_LOCAL_WINDOW = 512
_REMOTE_WINDOW = 16_000
#: How long an idle lease is kept.
_KEEP = 1.0
#: For so long after a recall a lease goes back as soon as it is idle.
RECALL_LASTS = 1.0
#: A grant of this node that took longer had to wait for somebody.
_LONG_WAIT = 0.005
#: A task that has run for so long, in seconds, must not have others waiting behind it.
_STUCK = 0.01
#: Less work than this, in microseconds, is not worth calling back.
_WORTH_STEALING = 1_000.0


class Lease:
    """A worker that runs tasks of one queue."""

    __slots__ = (
        "blocked",
        "contended",
        "duration",
        "has_devices",
        "idle_since",
        "inflight",
        "info",
        "lease",
        "node",
        "peer",
        "progress_at",
        "queue",
        "retired",
        "sent_at",
        "stealing",
        "window",
    )

    def __init__(self, queue: "TaskQueue", answer: Dict[str, Any], peer: Any):
        self.queue = queue
        self.lease = answer["lease"]
        self.node = answer["node"]
        self.peer = peer
        self.inflight: Dict[int, Task] = {}
        self.window = 1
        #: Moving average of a task's duration, in microseconds; negative: not known.
        self.duration = -1.0
        self.blocked = False
        #: Others wait for such a lease: it goes back as soon as it is idle.
        self.contended = False
        self.stealing = False
        #: The worker takes no more calls; those that had been sent come back.
        self.retired = False
        self.has_devices = _has_devices(answer)
        self.idle_since = time.monotonic()
        self.sent_at = 0.0
        #: When the task that runs now began, as far as this side can know.
        self.progress_at = 0.0
        self.info = answer


class TaskQueue:
    """Tasks with the same needs, and the leases that they run on. With the lock held."""

    def __init__(self, core: "CoreWorker", request: Dict[str, Any]):
        self.core = core
        self.request = request
        # The next task of SPREAD belongs on another node.
        self.spreads = request.get("strategy") == "SPREAD"
        self.waiting: Deque[Task] = deque()
        self.leases: List[Lease] = []
        self.requested: Set[int] = set()
        self.cancelled: Set[int] = set()
        self.timer = False
        self.watching = False
        self.far_window = 1
        self.far_round_trip = 1.0
        self.far_duration = -1.0

    def submit(self, task: Task) -> None:
        """The task can run: everything that it depends on is there."""
        if not self.waiting:
            best = None
            for lease in self.leases:
                count = len(lease.inflight)
                if count < lease.window and not lease.blocked:
                    if not count:
                        best = lease
                        break
                    if best is None or count < len(best.inflight):
                        best = lease
            if best is not None:
                self._push(best, task)
                return
        self.waiting.append(task)
        if len(self.requested) - len(self.cancelled) < 2:
            self._want_leases()

    def _push(self, lease: Lease, task: Task) -> None:
        if not lease.inflight:
            lease.sent_at = lease.progress_at = time.perf_counter()
        elif not self.watching:
            self.watching = True
            self.core.loop.after(_STUCK, self._watch_progress)
        lease.inflight[task.number] = task
        task.place = lease
        try:
            task.send_to(lease.peer)
        except KeyError as error:
            # A dependency was freed by `free()` after it had been ready.
            del lease.inflight[task.number]
            self.core.tasks.fail(task, self.core.lost_error(error.args[0]))
        except DependencyPending:
            # Its node was lost while the task waited for a worker.
            del lease.inflight[task.number]
            task.place = None
            self.core.tasks.queue_when_ready(task)

    def _want_leases(self) -> None:
        limit = min(len(self.waiting), self.core.lease_limit)
        while len(self.requested) - len(self.cancelled) < limit:
            cell: List[int] = []
            asked = time.monotonic()

            def done(
                answer: Any,
                _blob: bytes,
                error: Any,
                cell: List[int] = cell,
                asked: float = asked,
            ) -> None:
                if not cell:
                    # The agent was gone when it was asked.
                    cell.append(-1)
                self.requested.discard(cell[0])
                self.cancelled.discard(cell[0])
                if error is not None:
                    self._refused(error)
                    return
                waited = time.monotonic() - asked
                here = answer["node"] == self.core.hello["node"]
                # With devices comes a new process, which takes its time.
                if waited > _LONG_WAIT and here and not _has_devices(answer):
                    self.core.tasks.waited_for_lease()
                self._granted(answer)

            number = self.core.hub.start(ops.LEASE, self.request, done)
            if cell:
                return
            cell.append(number)
            self.requested.add(number)

    def _granted(self, answer: Dict[str, Any]) -> None:
        peer = self.core.peer(bytes.fromhex(answer["worker"]), bytes.fromhex(answer["node"]))
        if peer is None:
            self.core.hub.note(
                ops.LEASE_RETURN,
                {"lease": answer["lease"], "node": answer["node"], "broken": True},
            )
            self._want_leases()
            return
        lease = Lease(self, answer, peer)
        lease.contended = self.core.tasks.is_contended()
        if peer.node != self.core.node_id:
            # What an earlier lease has learned spares this one a round trip.
            lease.window, lease.duration = self.far_window, self.far_duration
        self.leases.append(lease)
        self.core.tasks.leases[peer.worker] = lease
        self.core.introduce_lease(lease, self.request)
        self.refill(lease)
        if self.waiting:
            # A burst asks for few leases while it is submitted; the rest follows here.
            self._want_leases()
        self._watch_idle()

    def _refused(self, error: HubError) -> None:
        if error.code == ops.CANCELLED:
            if self.waiting:
                self._want_leases()
            return
        waiting, self.waiting = self.waiting, deque()
        for task in waiting:
            self.core.tasks.fail(task, failures.of_lease(error, self.request))

    def refill(self, lease: Lease) -> None:
        """Gives a lease as much as it may have."""
        if lease.retired:
            return
        waiting = self.waiting
        while waiting and len(lease.inflight) < lease.window and not lease.blocked:
            task = waiting.popleft()
            if not task.finished:
                self._push(lease, task)
        if not waiting and len(self.requested) > len(self.cancelled):
            self._cancel_requests()
        if not lease.inflight:
            lease.idle_since = now = time.monotonic()
            urgent = lease.contended or now < self.core.tasks.recalled_until
            if urgent or self.spreads or (lease.has_devices and self.core.tasks.any_waits()):
                # Somebody was waiting a moment ago, and most likely still is.
                self.give_back(lease)
                return
            if len(self.leases) > 1:
                self._steal_for(lease)
            self._watch_idle()

    def _cancel_requests(self) -> None:
        # Each is still answered, by a refusal or by a grant that crossed this.
        for number in self.requested - self.cancelled:
            self.cancelled.add(number)
            self.core.hub.note(ops.LEASE_CANCEL, {"number": number})

    def replied(self, lease: Lease, number: int, units: int) -> None:
        """A task has ended on a lease, after so many units of 16 us."""
        lease.inflight.pop(number, None)
        lease.blocked = False
        lease.progress_at = time.perf_counter()
        micros = units * 16.0
        if lease.duration < 0:
            lease.duration = micros
        else:
            lease.duration += (micros - lease.duration) * 0.2
        if micros > _AHEAD:
            # What tasks took came from a time of short ones.
            lease.duration = max(lease.duration, micros / 2)
        remote = lease.peer.node != self.core.node_id
        ahead = _AHEAD
        if remote:
            if not lease.inflight or lease.window == 1:
                round_trip = (time.perf_counter() - lease.sent_at) * 1e6 - micros
                lease.info["rtt"] = min(lease.info.get("rtt", round_trip), round_trip)
                self.far_round_trip = lease.info["rtt"] / 1e6
            ahead += 1.5 * lease.info.get("rtt", 0.0)
        target = int(ahead / max(lease.duration, 4.0))
        limit = _REMOTE_WINDOW if remote else min(_LOCAL_WINDOW, lease.window * 2)
        lease.window = max(1, min(target, limit))
        if remote:
            self.far_window, self.far_duration = lease.window, lease.duration
        if self.waiting or not lease.inflight:
            self.refill(lease)

    def returned(self, lease: Lease, numbers: List[int], blocked: bool) -> None:
        """A worker gives calls back that it had not started."""
        lease.stealing = False
        lease.blocked = lease.blocked or blocked
        for number in reversed(numbers):
            task = lease.inflight.pop(number, None)
            if task is not None and not task.finished:
                task.place = None
                self.waiting.appendleft(task)
        if not lease.inflight:
            lease.blocked = False
            lease.idle_since = time.monotonic()
        self.dispatch()

    def dispatch(self) -> None:
        """Gives what waits to whoever has room."""
        for lease in self.leases:
            if not self.waiting:
                return
            if not lease.blocked and len(lease.inflight) < lease.window:
                task = self.waiting.popleft()
                if not task.finished:
                    self._push(lease, task)
        if self.waiting:
            for lease in list(self.leases):
                if not lease.blocked and len(lease.inflight) < lease.window:
                    self.refill(lease)
            self._want_leases()

    def _steal_for(self, idle: Lease) -> None:
        most = max(self.leases, key=lambda lease: len(lease.inflight))
        if most is idle or most.stealing or len(most.inflight) < 2:
            return
        if len(most.inflight) * max(most.duration, 0.0) < _WORTH_STEALING:
            # Either nearly done, or its current task is longer than expected: look again.
            self.core.loop.after(0.01, self._look_again)
            return
        self._steal(most, len(most.inflight) // 2)

    def _steal(self, lease: Lease, count: int) -> None:
        """Asks for so many unstarted tasks of a lease."""
        lease.stealing = True
        lease.peer.send(frame(STEAL, number=count))

    def _look_again(self) -> None:
        if any(not lease.inflight for lease in self.leases):
            most = max(self.leases, key=lambda lease: len(lease.inflight), default=None)
            if most is not None and len(most.inflight) > 1 and not most.stealing:
                self._steal(most, len(most.inflight) // 2)

    def _watch_progress(self) -> None:
        """Frees what waits behind a task that turns out to be long: others may have room for it."""
        self.watching = False
        now = time.perf_counter()
        for lease in self.leases:
            if len(lease.inflight) < 2:
                continue
            if not self.watching:
                self.watching = True
                self.core.loop.after(_STUCK, self._watch_progress)
            patience = _STUCK
            if lease.peer.node != self.core.node_id:
                patience += 2 * self.far_round_trip
            elapsed = now - lease.progress_at
            if elapsed > patience and not lease.stealing:
                # The task may be long, or the machine or the way busy: its answer will say what it
                # took, and set the window. To take this silence for the length of a task would keep
                # the lease at one task a round trip for dozens of them.
                lease.window = 1
                self._steal(lease, len(lease.inflight) - 1)

    # Giving leases back

    def _watch_idle(self) -> None:
        if not self.timer:
            self.timer = True
            self.core.loop.after(_KEEP / 2, self._return_idle)

    def _return_idle(self) -> None:
        self.timer = False
        now = time.monotonic()
        for lease in list(self.leases):
            if not lease.inflight and now - lease.idle_since >= _KEEP:
                self.give_back(lease)
        if self.leases:
            self._watch_idle()

    def give_back(self, lease: Lease, broken: bool = False) -> None:
        """Returns a lease."""
        if lease in self.leases:
            self.leases.remove(lease)
            self.core.tasks.leases.pop(lease.peer.worker, None)
            self.core.hub.note(
                ops.LEASE_RETURN, {"lease": lease.lease, "node": lease.node, "broken": broken}
            )

    def retire(self, lease: Lease) -> None:
        """The worker takes no more calls: its agent has ended the lease by itself.

        It is known until the worker is gone: calls that crossed the news come back, or fail with it.
        """
        lease.retired = True
        if lease in self.leases:
            self.leases.remove(lease)

    def recall(self) -> None:
        """Somebody waits for resources: idle leases go back now."""
        if not self.waiting:
            for lease in list(self.leases):
                if not lease.inflight:
                    self.give_back(lease)

    def worker_lost(self, lease: Lease, cause: Dict[str, Any]) -> None:
        """The worker of a lease is gone, and with it what it was running."""
        if lease in self.leases:
            self.leases.remove(lease)
        self.core.tasks.leases.pop(lease.peer.worker, None)
        inflight, lease.inflight = lease.inflight, {}
        detail = cause.get("detail") or {}
        again: List[Task] = []
        # Calls run in the order in which they were sent: only the first can have been running.
        removed = cause.get("message") == failures.GROUP_REMOVED
        running = removed or not detail.get("intended")
        for task in inflight.values():
            task.place = None
            if task.finished:
                running = False
                continue
            if running:
                running = False
                if failures.is_low_on_memory(cause) and not task.cancelled:
                    self.core.tasks.memory_retries.lost(task, cause)
                    continue
                if task.cancelled or task.retries == 0 or removed:
                    self.core.tasks.fail(task, failures.of_worker(task, cause))
                    continue
                if task.retries > 0:
                    task.retries -= 1
                task.attempt += 1
            again.append(task)
        self.waiting.extendleft(reversed(again))
        if self.waiting:
            self.dispatch()


def _has_devices(answer: Dict[str, Any]) -> bool:
    return bool(answer.get("gpus") or answer.get("accelerators"))
