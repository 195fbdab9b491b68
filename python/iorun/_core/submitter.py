"""Tasks of this process: dependencies first, then a queue, then results, errors and retries."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple

from iorun import exceptions
from iorun._core import options as option_rules
from iorun._core import serialization
from iorun._core.frames import (
    ARENA,
    CANCEL,
    ERROR,
    FULL,
    PLAIN,
    REPLY_CANCELLED,
    REPLY_ERROR,
    REPLY_LOST,
    REPLY_PLAIN,
    REPLY_RETRY,
    decode_results,
    frame,
)
from iorun._core.leases import Lease, TaskQueue
from iorun._core.memory_retries import MemoryRetries
from iorun._core.objects import PENDING, Entry
from iorun._core.tasks import DYNAMIC, Task, Template, id_suffix
from iorun.object_ref import ObjectRef

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

logger = logging.getLogger("iorun")

#: So often at most a call is made anew because its arguments were lost on their way.
_LOST_MOST = 20
#: Seconds until a task that has raised runs again: the first time, doubled each time, at most.
#: Whatever it has met needs time to pass; the first retries cost nobody any.
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 1.0


class TaskSubmitter:
    """All unfinished tasks that this process owns, whether they go to workers or to actors."""

    def __init__(self, core: "CoreWorker"):
        self.core = core
        self.open: Dict[int, Task] = {}
        self.queues: Dict[str, TaskQueue] = {}
        #: worker id -> the lease on it.
        self.leases: Dict[bytes, Lease] = {}
        #: Until then somebody else may be waiting for what idle leases hold.
        self.recalled_until = 0.0
        self.memory_retries = MemoryRetries(self)
        self._contended_from = -10.0

    def waited_for_lease(self) -> None:
        """A lease was long in coming: others wait, too, and were recalled before it was held.

        Noted once a second at most, because a busy machine looks the same.
        """
        now = time.monotonic()
        if now - self._contended_from > 1.0:
            self._contended_from = now

    def is_contended(self) -> bool:
        """Whether leases that come now go back as soon as they are idle."""
        return time.monotonic() - self._contended_from < 0.05

    def any_waits(self) -> bool:
        """Whether a task of this process waits for a worker."""
        return any(queue.waiting for queue in self.queues.values())

    def give_back_idle(self) -> None:
        """What only waits for the next task is free, for whoever asks. Takes the lock."""
        with self.core.loop.lock:
            for lease in list(self.leases.values()):
                if not lease.inflight:
                    lease.queue.give_back(lease)

    def make(self, template: Template, given: Any, parent: bytes) -> Tuple[Task, List[ObjectRef]]:
        """A task and the references to what it will return. With the lock held."""
        core = self.core
        core.counter = number = core.counter + 1
        task = Task(core, number, template, parent)
        if given.plain:
            task.arguments = given.data
        else:
            task.take_arguments(given)
        self.open[number] = task
        if not core.reporter.watching:
            core.reporter.watch()
        entries = core.objects.entries
        if template.returns == 1:
            id = core.worker_id + id_suffix(number, 0)
            entries[id] = Entry(1, task)
            return task, [ObjectRef(id, True)]
        refs = []
        for id in task.return_ids():
            entries[id] = Entry(1, task)
            refs.append(ObjectRef(id, True))
        return task, refs

    def submit(self, template: Template, given: Any, parent: bytes) -> Tuple[Task, List[ObjectRef]]:
        """Submits a task to the workers. With the lock held."""
        task, refs = self.make(template, given, parent)
        if template.returns.__class__ is not int:
            self.core.streams.open(task)
        if task.dependencies:
            self.resolve(task, self._queue)
        else:
            template.queue.submit(task)
        return task, refs

    def queue_when_ready(self, task: Task) -> None:
        """A task whose dependencies are not there any more waits for them again."""
        self.resolve(task, self._queue)

    def _queue(self, task: Task) -> None:
        self._queue_of(task).submit(task)

    def _queue_of(self, task: Task) -> TaskQueue:
        """The queue of the task's needs; of those that are near its data, where it has any."""
        queue: TaskQueue = task.template.queue
        request = queue.request
        if not task.dependencies or request["strategy"] != "DEFAULT" or request.get("bundle"):
            return queue
        near = self._node_of_data(task)
        if near is None:
            return queue
        key = f"{option_rules.queue_key(request)}@{near.hex()}"
        found = self.queues.get(key)
        if found is None:
            found = self.queues[key] = TaskQueue(self.core, {**request, "near": near.hex()})
        return found

    def _node_of_data(self, task: Task) -> Optional[bytes]:
        """The node that has most of the large things that the task needs, if possible this one."""
        entries = self.core.objects.entries
        sizes: Dict[bytes, int] = {}
        for id in task.dependencies:
            entry = entries.get(id)
            if entry is not None and entry.state == ARENA:
                for node in entry.data.locations:
                    sizes[node] = sizes.get(node, 0) + entry.data.size
        if not sizes:
            return None
        most = max(sizes.values())
        if sizes.get(self.core.node_id, 0) >= most:
            return self.core.node_id
        return min(node for node, size in sizes.items() if size == most)

    def resolve(self, task: Task, ready: Callable[[Task], None]) -> None:
        """Calls `ready` once all dependencies have values; fails the task where one has an error."""
        core = self.core
        entries = core.objects.entries
        task.missing = 1

        def one() -> None:
            task.missing -= 1
            if task.missing or task.finished:
                return
            for id in task.dependencies:
                entry = entries.get(id)
                if entry is None:
                    self.fail(task, core.lost_error(id))
                    return
                if entry.state == ERROR:
                    core.unhandled.seen(id)
                    self.fail_with_bytes(task, self._error_of_argument(task, entry.data))
                    return
            ready(task)

        for id in task.dependencies:
            entry = entries[id]
            if entry.state == ARENA and not entry.data.locations:
                core.report_lost(id, entry.data)
            if entry.state == PENDING:
                task.missing += 1
                core.want(id, entry)
                core.objects.when_ready(entry, one)
        one()

    def _error_of_argument(self, task: Task, data: bytes) -> bytes:
        """What a call fails with whose argument has this error: an error of the call's own."""
        error = serialization.loads(data)
        if isinstance(error, exceptions.RayTaskError):
            return data
        text = (
            "At least one of the input arguments for this task could not be computed:\n"
            f"{type(error).__name__}: {error}\n"
        )
        name = task.template.name
        return serialization.dump_error(exceptions.RayTaskError(name, text, error))

    # Ends

    def on_reply(
        self, peer: Any, flags: int, units: int, number: int, data: bytes, start: int, end: int
    ) -> None:
        """A call has ended."""
        task = self.open.get(number)
        if task is None:
            return
        place = task.place
        if flags & (REPLY_ERROR | REPLY_CANCELLED):
            if flags & REPLY_LOST and self._argument_lost(task, data, start, end):
                return
            if self._tried_again(task, flags):
                return
        # The slot first: the next call is on its way while this one's result is looked at.
        if place is not None:
            if place.__class__ is Lease:
                place.queue.replied(place, number, units)
            else:
                place.replied(number, units)
        if task.finished:
            return
        core = self.core
        if core.reporter.wanted:
            core.reporter.units = units
        if flags & REPLY_PLAIN:
            if task.template.returns == 1:
                self._finish_one(task, data[start:end])
                return
            results = [(PLAIN, data[start:end])]
        else:
            results = decode_results(data, start, end)
        self.finish(task, results, bool(flags & REPLY_ERROR))

    def _argument_lost(self, task: Task, data: bytes, start: int, end: int) -> bool:
        """An argument is nowhere: has it made again, and then the call. Whether it is."""
        # Retries for want of memory are counted apart.
        attempts = task.attempt - self.memory_retries.count(task.number)
        if task.finished or task.cancelled or attempts >= _LOST_MOST:
            return False
        ((_, body),) = decode_results(data, start, end)
        lost = serialization.loads(body)
        id = bytes.fromhex(getattr(lost, "object_ref_hex", ""))
        core = self.core
        entry = core.objects.entries.get(id)
        if entry is None or id not in task.dependencies:
            return False
        refused = not isinstance(lost, exceptions.ObjectLostError)
        if entry.state == ARENA and not refused:
            core.report_lost(id, entry.data)
        task.attempt += 1
        place = task.place
        if place.__class__ is Lease:
            place.inflight.pop(task.number, None)
            task.place = None
            if refused:
                core.loop.after(_pause(attempts + 1), lambda: self._resolve_later(task))
            else:
                self.resolve(task, self._queue)
            place.queue.refill(place)
            return True
        # The actor waits for nothing: only this call is late.
        if refused:
            attempt = task.attempt
            core.loop.after(_pause(attempts + 1), lambda: self._call_again(task, place, attempt))
        else:
            self.resolve(task, place.call_again)
        return True

    def _resolve_later(self, task: Task) -> None:
        """There was no room for an argument where the task was to run."""
        if not task.finished and task.place is None:
            self.resolve(task, self._queue)

    def _tried_again(self, task: Task, flags: int) -> bool:
        """Whether an error of the task's own is a reason to run it again."""
        if not flags & REPLY_RETRY or task.retries == 0 or task.cancelled or task.finished:
            return False
        if task.retries > 0:
            task.retries -= 1
        task.attempt += 1
        place = task.place
        if place is None:
            return False
        attempt = task.attempt
        pause = _pause(attempt)
        if place.__class__ is Lease:
            place.inflight.pop(task.number, None)
            task.place = None
            place.queue.refill(place)
            self.core.loop.after(pause, lambda: self.queue_again(task))
        else:
            self.core.loop.after(pause, lambda: self._call_again(task, place, attempt))
        return True

    def queue_again(self, task: Task) -> None:
        """A task that has waited for some time before it runs once more."""
        if not task.finished and task.place is None:
            queue = self._queue_of(task)
            queue.waiting.append(task)
            queue.dispatch()

    def _call_again(self, task: Task, actor: Any, attempt: int) -> None:
        # Where the actor has restarted meanwhile the call is with those that are made anew.
        if task.finished or task.attempt != attempt or task.number not in actor.inflight:
            return
        if task.cancelled:
            actor.replied(task.number, 0)
            self.fail(task, self.cancelled_error(task))
        else:
            actor.call_again(task)

    def _finish_one(self, task: Task, data: bytes) -> None:
        """The common end: one small plain result."""
        task.finished = True
        del self.open[task.number]
        if task.attempt:
            self.memory_retries.finished(task.number)
        core = self.core
        id = core.worker_id + id_suffix(task.number, 0)
        entry = core.objects.entries.get(id)
        if not task.plain:
            task.release_arguments()
        if entry is not None:
            entry.source = None
            entry.data = data
            entry.state = PLAIN
            callbacks = entry.callbacks
            if callbacks is not None:
                entry.callbacks = None
                core.objects.call_back(callbacks)
        if core.reporter.wanted:
            core.reporter.ended(task, None)

    def finish(self, task: Task, results: List[Tuple[int, bytes]], failed: bool) -> None:
        """The task has these results; a failed one has one error for all that it returns."""
        if task.finished:
            return
        task.finished = True
        self.open.pop(task.number, None)
        self.memory_retries.finished(task.number)
        objects = self.core.objects
        ids = task.return_ids()
        if failed:
            results = results[:1] * len(ids)
        elif len(results) != len(ids):
            error = exceptions.RaySystemError(
                f"The worker sent {len(results)} results where {len(ids)} were expected."
            )
            results = [(ERROR, serialization.dump_error(error))] * len(ids)
        kept = 0
        if task.generator is not None:
            if task.generator.total is not None:
                self.core.streams.ended_again(task, results[0], failed)
                ids = []
            else:
                self.core.streams.ended(task, results[0], failed)
                if task.template.returns == DYNAMIC and not task.cancelled:
                    # An error is the last thing that it yielded.
                    results = [(FULL, self.core.streams.collected(task))]
                elif not failed:
                    # How many it were is nobody else's business: `completed()` is None.
                    results = [(PLAIN, _NOTHING)]
            kept = task.generator.kept
        for id, (tag, data) in zip(ids, results):
            entry = objects.entries.get(id)
            if entry is not None:
                if tag == ARENA and task.template.max_retries and entry.local:
                    kept += 1
                else:
                    entry.source = None
        if kept:
            task.keep_lineage(kept)
        if failed and ids and task.generator is None and not task.cancelled:
            self.core.unhandled.failed(ids[0], results[0][1])
        for id, (tag, data) in zip(ids, results):
            objects.settle(id, tag, data)
        task.release_arguments()
        if self.core.reporter.wanted:
            self.core.reporter.ended(task, results[0][1] if failed else None)

    def fail(self, task: Task, error: BaseException) -> None:
        """The task will not have a result."""
        self.fail_with_bytes(task, serialization.dump_error(error))

    def fail_with_bytes(self, task: Task, data: bytes) -> None:
        """As `fail`, with the error's bytes."""
        self.finish(task, [(ERROR, data)], True)

    # Cancelling

    def cancel(self, task: Task, force: bool, recursive: bool) -> None:
        """Ends a task: at once where it has not been sent, else by its worker. With the lock held."""
        if task.finished:
            return
        task.cancelled = True
        task.retries = 0
        place = task.place
        if place is None:
            self.fail(task, self.cancelled_error(task))
            return
        peer = place.peer
        if peer is not None and peer.path is not None:
            flags = (1 if force else 0) | (2 if recursive else 0)
            peer.send(frame(CANCEL, flags, number=task.number))

    def cancelled_error(self, task: Task) -> Exception:
        """What `get` raises for a cancelled task."""
        error = exceptions.TaskCancelledError(
            (task.core.worker_id + id_suffix(task.number, 0))[:24].hex()
        )
        if task.template.queue is not None:
            return error
        # Of actors' calls programs catch it as either; whether it had begun is chance.
        return exceptions.RayTaskError(task.template.name, str(error), error)

    def cancel_children(self, parent: bytes, force: bool) -> None:
        """Cancels what the task with this id has submitted."""
        for task in [task for task in self.open.values() if task.parent == parent]:
            self.cancel(task, force and task.template.queue is not None, True)

    def worker_lost(self, worker: bytes, cause: Dict[str, Any]) -> None:
        """A process is gone: perhaps one that ran tasks of ours."""
        lease = self.leases.get(worker)
        if lease is not None:
            lease.queue.worker_lost(lease, cause)

    def rerun(self, task: Optional[Task]) -> bool:
        """Runs a finished task again, because a result of it is lost. With the lock held."""
        if task is None or not task.kept:
            return False
        # Where it ran: an actor may make it again as often as its calls may be retried.
        actor = task.place if task.template.queue is None else None
        if task.retries == 0 or (task.template.queue is None and not _can_rerun(actor)):
            return False
        if task.retries > 0:
            task.retries -= 1
        task.attempt += 1
        task.finished = False
        task.place = None
        task.kept = 0
        entries = self.core.objects.entries
        if task.generator is not None:
            again = self.core.streams.made(task)
        else:
            again = [(id, entries.get(id)) for id in task.return_ids()]
        for _, entry in again:
            if entry is not None and entry.source is task:
                entry.state = PENDING
                entry.data = None
        for id in (*task.dependencies, *task.nested):
            entry = entries.get(id)
            if entry is None:
                return False
            entry.local += 1
            source = entry.source
            if isinstance(source, Task):
                source.lineage -= 1
                if entry.state > ERROR and not self.rerun(source):
                    return False
        task.unpin()
        self.open[task.number] = task
        if actor is not None:
            actor.submit(task)
        elif task.dependencies:
            self.resolve(task, self._queue)
        else:
            task.template.queue.submit(task)
        return True


def _pause(attempt: int) -> float:
    # A float has no room for 2**1024, and tasks may be tried again without end.
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(attempt - 1, 30))


#: A pickled None.
_NOTHING = serialization.dumps(None, serialization.PROTOCOL)


def _can_rerun(actor: Any) -> bool:
    return actor is not None and actor.state != "DEAD"
