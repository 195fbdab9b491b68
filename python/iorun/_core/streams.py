"""What generator tasks yield, as it comes, on the side of whoever called them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from iorun import exceptions
from iorun._core import serialization
from iorun._core.frames import ACK, ARENA, ERROR, U32, U64, decode_results, frame
from iorun._core.loop import Waiter
from iorun._core.objects import PENDING, Entry
from iorun._core.tasks import Task, id_suffix
from iorun.object_ref import ObjectRef

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

logger = logging.getLogger("iorun")

#: Tells the generator's worker to stop.
STOP = (1 << 64) - 1
#: More than any generator yields.
_ALL = 1 << 62


class Stream:
    """The state of one generator call."""

    __slots__ = (
        "backpressure",
        "closed",
        "items",
        "kept",
        "missing",
        "next",
        "received",
        "task",
        "total",
        "waiting",
    )

    def __init__(self, task: Task, backpressure: int):
        self.task = task
        self.backpressure = backpressure
        #: Ids that have come and were not taken, by index; each is held once.
        self.items: Dict[int, bytes] = {}
        self.received = 0
        #: How many of them can be lost, and made again by running the task again.
        self.kept = 0
        #: Those that were lost while the generator runs on, and the nodes that still may have them.
        self.missing: Dict[bytes, List[bytes]] = {}
        self.next = 0
        #: How many there are in all, once the task has ended.
        self.total: Optional[int] = None
        self.closed = False
        self.waiting: List[Any] = []

    def node_gone(self, node: bytes) -> None:
        """What is missing is not there any more."""
        for id, locations in self.missing.items():
            self.missing[id] = [each for each in locations if each != node]

    def wake(self) -> None:
        """Something has come."""
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()
        self.task.core.loop.tell_poller()


class StreamTable:
    """All generator calls of this process. With the lock held."""

    def __init__(self, core: "CoreWorker"):
        self.core = core

    def open(self, task: Task) -> None:
        """A generator was called."""
        spec = task.template.spec
        limit = max(int(spec.get("backpressure") or 0), int(spec.get("actor_backpressure") or 0))
        task.generator = Stream(task, limit)

    def on_yield(
        self, peer: Any, _flags: int, _aux: int, number: int, data: bytes, start: int, end: int
    ) -> None:
        """A generator has yielded."""
        (index,) = U32.unpack_from(data, start)
        results = decode_results(data, start + 4, end)
        task = self.core.tasks.open.get(number)
        if task is None or task.generator is None or len(results) != 1:
            return
        self.add(task, index, *results[0])

    def add(self, task: Task, index: int, tag: int, data: bytes) -> None:
        """One yielded value."""
        stream = task.generator
        id = self.core.worker_id + id_suffix(task.number, index + 1)
        if index < stream.received:
            # The task was run again: this one is known, if it was not lost meanwhile.
            copies = stream.missing.pop(id, [])
            if stream.backpressure > 0:
                self.acknowledge(stream, index + 1)
            entry = self.core.objects.entries.get(id)
            if entry is None or entry.state == PENDING:
                self.core.objects.settle(id, tag, data)
                where = entry.data if entry is not None and entry.state == ARENA else None
                if where is not None:
                    # Earlier copies, if there are any left, are freed with it.
                    where.locations += [node for node in copies if node not in where.locations]
            elif entry.state == ARENA and tag == ARENA:
                # That the first copy's node is lost may not be known yet.
                self.core.objects.add_copy(entry, data)
            else:
                self.core.objects.discard(id, tag, data)
            return
        stream.received = index + 1
        if stream.closed:
            self.core.objects.settle(id, tag, data)
            return
        entry = self.core.objects.entries[id] = Entry(1)
        if tag == ARENA and task.template.max_retries:
            entry.source = task
            stream.kept += 1
        self.core.objects.settle(id, tag, data)
        stream.items[index] = id
        stream.wake()

    def ended(self, task: Task, result: Any, failed: bool) -> None:
        """The generator has returned, or failed: then its error is the last that it yields."""
        stream = task.generator
        if failed:
            self.add(task, stream.received, ERROR, result[1])
        stream.total = stream.received
        stream.wake()
        if stream.kept and any(entry.state == PENDING for _, entry in self.made(task)):
            # Lost after it had come again, while the rest was still being made.
            self.core.loop.deferred.append((self._run_again, (task,)))

    def lost(self, stream: Stream, id: bytes, entry: Entry) -> None:
        """A value in shared memory of a generator that has not ended cannot be had: it comes again.

        Most likely its node went, and the generator with it. Where it runs on it must come to its
        end first, and not wait there for whoever wants this value.
        """
        stream.missing[id] = entry.data.locations
        entry.state = PENDING
        entry.data = None
        self.core.objects.release_contained(entry)
        self.acknowledge(stream, _ALL)

    def _run_again(self, task: Task) -> None:
        with self.core.loop.lock:
            if task.finished and not self.core.tasks.rerun(task):
                self.ended_again(task, None, False)

    def ended_again(self, task: Task, result: Any, failed: bool) -> None:
        """The generator ran again for values that were lost, and has ended."""
        for id, entry in self.made(task):
            if entry.state == PENDING:
                error = exceptions.ObjectReconstructionFailedError(
                    id.hex(), reason_message="Its generator yielded less when it ran again."
                )
                data = result[1] if failed else serialization.dump_error(error)
                self.core.objects.settle(id, ERROR, data)

    def made(self, task: Task) -> List[Any]:
        """The yielded values that can be lost: (id, entry)."""
        found = []
        for index in range(task.generator.received):
            id = self.core.worker_id + id_suffix(task.number, index + 1)
            entry = self.core.objects.entries.get(id)
            if entry is not None and entry.source is task:
                found.append((id, entry))
        return found

    def collected(self, task: Task) -> bytes:
        """The value of a task with num_returns="dynamic": references to all that it yielded."""
        stream = task.generator
        objects = self.core.objects
        ids = [stream.items[index] for index in sorted(stream.items)]
        value = serialization.serialize(DynamicObjectRefGenerator(objects.refs_of(ids)))
        data = value.full(objects.table_for(ids, None))
        # The value holds them from now on: `settle` counts what is in its table.
        stream.items = {}
        for id in ids:
            objects.entries[id].local += 1
            self.core.loop.deferred.append((self._release, (id, 2)))
        return data

    def _release(self, id: bytes, count: int) -> None:
        with self.core.loop.lock:
            for _ in range(count):
                self.core.objects.release(id)

    def acknowledge(self, stream: Stream, count: int) -> None:
        """Tells the worker that so many were taken."""
        if stream.missing and count != STOP:
            count = _ALL
        place = stream.task.place
        if place is not None and not stream.task.finished and place.peer is not None:
            place.peer.send(frame(ACK, number=stream.task.number, body=U64.pack(count)))

    def close(self, stream: Stream) -> None:
        """Nobody takes any more."""
        if stream.closed:
            return
        stream.closed = True
        self.acknowledge(stream, STOP)
        items, stream.items = stream.items, {}
        for id in items.values():
            self.core.objects.release(id)
        stream.wake()


class ObjectRefGenerator:
    """Iterates, plainly or asynchronously, over the references that a generator task yields."""

    def __init__(self, core: "CoreWorker", task: Task, end: ObjectRef):
        self._core = core
        self._stream = task.generator
        self._end = end

    def __iter__(self) -> "ObjectRefGenerator":
        return self

    def __aiter__(self) -> "ObjectRefGenerator":
        return self

    def __next__(self) -> ObjectRef:
        return self._next_sync(None)

    def _next_sync(self, timeout_s: Optional[float] = None) -> ObjectRef:
        """The next reference; the nil one where none comes in time."""
        stream = self._stream
        while True:
            with self._core.loop.lock:
                ref = self._take()
                if ref is not None:
                    return ref
                waiter = Waiter(1)
                stream.waiting.append(waiter.count_down)
            if not self._core.block(waiter, timeout_s):
                return ObjectRef.nil()

    def _take(self) -> Optional[ObjectRef]:
        stream = self._stream
        id = stream.items.pop(stream.next, None)
        if id is not None:
            stream.next += 1
            if stream.backpressure > 0:
                self._core.streams.acknowledge(stream, stream.next)
            # The stream's hold becomes the reference's.
            return ObjectRef(id, True)
        if stream.closed or (stream.total is not None and stream.next >= stream.total):
            raise StopIteration
        return None

    async def __anext__(self) -> ObjectRef:
        stream = self._stream
        loop = asyncio.get_running_loop()
        while True:
            with self._core.loop.lock:
                try:
                    ref = self._take()
                except StopIteration:
                    raise StopAsyncIteration from None
                if ref is not None:
                    return ref
                future = loop.create_future()

                def wake(future: Any = future) -> None:
                    self._core.in_loop(loop, _set, future)

                stream.waiting.append(wake)
            await future

    def next_ready(self) -> bool:
        """Whether the next reference is there, so that `next` does not wait; false at the end."""
        self._core.loop.poll_now()
        return not self.is_finished() and self.has_next()

    def has_next(self) -> bool:
        """Whether `next` does not wait: the next reference is there, or the end."""
        with self._core.loop.lock:
            stream = self._stream
            return stream.next in stream.items or stream.total is not None or stream.closed

    @property
    def _generator_ref(self) -> ObjectRef:
        return self._end

    def is_finished(self) -> bool:
        """Whether the generator has ended and all its references were taken."""
        stream = self._stream
        return stream.closed or (stream.total is not None and stream.next >= stream.total)

    def completed(self) -> ObjectRef:
        """A reference that is ready when the generator has ended, and holds its error if any."""
        return self._end

    def task_id(self) -> Any:
        """The id of the generator's task."""
        return self._end.task_id()

    def close(self) -> None:
        """Stops the generator; what it has yielded and nobody took is dropped."""
        with self._core.loop.lock:
            self._core.streams.close(self._stream)

    def __del__(self) -> None:
        core = getattr(self, "_core", None)
        if core is not None and not core.loop.closed:
            # Any lock may be held here.
            core.loop.deferred.append((self._core_close, (core, self._stream)))

    @staticmethod
    def _core_close(core: "CoreWorker", stream: Stream) -> None:
        with core.loop.lock:
            core.streams.close(stream)

    def __repr__(self) -> str:
        return f"ObjectRefGenerator({self._end.hex()})"

    def __reduce__(self) -> tuple:
        raise TypeError(
            "An ObjectRefGenerator cannot be sent to another process: take its references first, "
            "or have the other process call the generator."
        )


def _set(future: Any) -> None:
    if not future.done():
        future.set_result(None)


class DynamicObjectRefGenerator:
    """What a task with num_returns="dynamic" returns: its references, all there."""

    def __init__(self, refs: List[ObjectRef]):
        self._refs = list(refs)

    def __iter__(self) -> Any:
        return iter(self._refs)

    def __len__(self) -> int:
        return len(self._refs)

    def __getitem__(self, index: int) -> ObjectRef:
        return self._refs[index]
