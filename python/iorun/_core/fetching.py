"""Bringing values: `get` and `wait`, what borrowers ask owners, and what is lost on the way."""

from __future__ import annotations

import logging
import time
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from iorun import exceptions
from iorun._core import failures, ops, serialization
from iorun._core.frames import (
    FETCH,
    IN_ARENA,
    VALUE,
    FrameError,
    decode_results,
    encode_results,
    frame,
)
from iorun._core.hub import HubError
from iorun._core.loop import Waiter
from iorun._core.objects import ARENA, ERROR, FULL, GONE, PENDING, PLAIN, Entry, InArena
from iorun._core.tasks import Task
from iorun.object_ref import ObjectRef

logger = logging.getLogger("iorun")

_loads = serialization.loads
#: How often a value that is lost again and again is made anew within one `get`.
_MAX_ATTEMPTS = 8
#: Seconds until an object for which there was no room is asked for again: the first time, doubled
#: each time.
FIRST_PAUSE = 0.02
#: So many seconds a task waits for what may be here already before others take its place.
_GRACE = 0.003


class Fetching:
    """The part of the core that brings values."""

    # Of CoreWorker; named here for type checkers.
    loop: Any
    objects: Any
    tasks: Any
    arena: Any
    streams: Any
    unhandled: Any
    worker_id: bytes
    node_id: bytes
    role: str
    peer: Callable[..., Any]
    block: Callable[..., bool]
    owner_died: Callable[..., bytes]
    lost_error: Callable[..., Exception]
    in_loop: Callable[..., None]
    _dead: Dict[bytes, Dict[str, Any]]

    _fetch_number = 0

    # Asking owners, with the lock held

    def want(self, id: bytes, entry: Entry, lost: bool = False) -> None:
        """Makes sure that a pending object of another owner is on its way."""
        if entry.state != PENDING or id[:16] == self.worker_id:
            return
        owner = self.peer(id[:16], entry.node)
        if owner is None:
            self.objects.settle_here(entry, ERROR, self.owner_died(id, self._dead.get(id[:16])))
            return
        if not lost and id in owner.requests.values():
            return
        self._fetch_number += 1
        owner.requests[self._fetch_number] = id
        owner.send(frame(FETCH, 1 if lost else 0, number=self._fetch_number, body=id))

    def on_fetch(
        self, peer: Any, flags: int, _aux: int, number: int, data: bytes, start: int, end: int
    ) -> None:
        """A borrower wants a value of ours."""
        if end - start != 28:
            raise FrameError("a request for an object without its id")
        id = data[start:end]
        if id[:16] != self.worker_id:
            raise FrameError("a request for an object that this process does not own")
        entry = self.objects.entries.get(id)
        if entry is None:
            entry = Entry()
            self.objects.settle_here(entry, ERROR, self.freed_error(id))  # type: ignore[attr-defined]
        if flags & 1 and entry.state == ARENA:
            self.recover(id, entry)

        def answer(entry: Entry = entry) -> None:
            if entry.state == GONE:
                tag, body = ERROR, serialization.dump_error(self.lost_error(id))
            elif entry.state == ARENA:
                ids = entry.contained or []
                table = self.objects.table_for(ids, peer)
                where = entry.data
                node = where.locations[0] if where.locations else bytes(16)
                tag, body = ARENA, IN_ARENA.pack(node, where.size, len(ids)) + table
            else:
                self.unhandled.seen(id)
                tag, body = entry.state, entry.data
                if entry.contained:
                    self.objects.table_for(entry.contained, peer)
            peer.send(frame(VALUE, number=number, body=encode_results([(tag, body)])))

        self.objects.when_ready(entry, answer)

    def on_value(
        self, peer: Any, _flags: int, _aux: int, number: int, data: bytes, start: int, end: int
    ) -> None:
        """An owner has answered."""
        id = peer.requests.pop(number, None)
        results = decode_results(data, start, end)
        if id is None or len(results) != 1:
            raise FrameError("a value that nobody asked for")
        self.objects.settle(id, *results[0])

    # What is lost

    def recover(self, id: bytes, entry: Entry) -> None:
        """The copies of an owned object are gone: makes it again, or says that it is lost."""
        task = entry.source
        if isinstance(task, Task):
            if not task.finished:
                if task.generator is not None and entry.state == ARENA:
                    self.streams.lost(task.generator, id, entry)
                return
            if self.tasks.rerun(task):
                logger.info("Object %s was lost; task %s runs again.", id.hex(), task.template.name)
                return
            error: Exception = exceptions.ObjectReconstructionFailedError(
                id.hex(),
                reason_message="Its task cannot run again: it has no retries left, or what it "
                "needs is lost, too.",
                owner_address=id[:16].hex(),
            )
        else:
            error = self.lost_error(id)
        self.objects.settle_here(entry, ERROR, serialization.dump_error(error))

    def report_lost(self, id: bytes, where: InArena) -> None:
        """No location of an object has it. Takes the lock."""
        with self.loop.lock:
            entry = self.objects.entries.get(id)
            if entry is None or entry.state != ARENA:
                return
            if id[:16] == self.worker_id:
                self.recover(id, entry)
                return
            entry.state = PENDING
            entry.data = None
            self.want(id, entry, lost=True)

    def node_gone(self, node: bytes) -> None:
        """A node is lost: what was only there is made again when somebody wants it."""
        for entry in self.objects.entries.values():
            if entry.state == ARENA and node in entry.data.locations:
                entry.data.locations = [n for n in entry.data.locations if n != node]
        for task in self.tasks.open.values():
            if task.generator is not None:
                task.generator.node_gone(node)

    # Values

    def value_of(self, id: bytes, entry: Entry) -> Any:
        """The value of an entry that has one, from its inline bytes. Raises what it holds."""
        state = entry.state
        data = entry.data
        if state == PLAIN:
            return _loads(data)
        if state == FULL:
            return self._open(memoryview(data))
        if state == ERROR:
            self.unhandled.seen(id)
            raise self.error_of(data)
        raise self.lost_error(id)

    def _open(self, view: memoryview) -> Any:
        ids = serialization.ref_ids(view)
        refs: Sequence[ObjectRef] = ()
        if ids:
            with self.loop.lock:
                refs = self.objects.refs_of(ids)
        return serialization.deserialize_full(view, refs)[0]

    def error_of(self, data: bytes) -> BaseException:
        """The exception of an error's bytes."""
        try:
            error = _loads(data)
        except Exception as problem:
            return exceptions.RaySystemError(
                f"An error came over that cannot be unpickled here: {problem}. Is the module of "
                "its class installed in this process?"
            )
        if isinstance(error, exceptions.RayTaskError):
            return error.as_instanceof_cause()
        return error  # type: ignore[no-any-return]

    def get(self, refs: Sequence[ObjectRef], timeout: Optional[float] = None) -> List[Any]:
        """The values, in order. Raises what the first failed one holds, or GetTimeoutError."""
        entries = self.objects.entries
        if self.loop.dirty:
            self.loop.flush()
        deadline = None if timeout is None else time.monotonic() + timeout
        found: List[Tuple[bytes, Entry]] = []
        pending = False
        for ref in refs:
            id = ref._id
            entry = entries.get(id)
            if entry is None:
                raise failures.of_unknown(id, "Ray objects")
            if not PLAIN <= entry.state <= ERROR:
                pending = True
            elif entry.state == ARENA:
                pending = True
            found.append((id, entry))
        views: Dict[bytes, memoryview] = {}
        if pending:
            views = self._await_all(found, deadline)
        values = []
        for id, entry in found:
            if entry.state == PLAIN:
                values.append(_loads(entry.data))
            elif id in views:
                values.append(self._open(views[id]))
            else:
                values.append(self.value_of(id, entry))
        return values

    def get_one(self, ref: ObjectRef, timeout: Optional[float] = None) -> Any:
        """The value of one reference: `get` without its lists."""
        entry = self.objects.entries.get(ref._id)
        if entry is not None:
            if entry.state == PLAIN:
                return _loads(entry.data)
            if entry.state == PENDING and entry.node is None and timeout is None:
                loop = self.loop
                with loop.lock:
                    if loop.dirty:
                        loop.flush()
                    waiter = Waiter(1)
                    self.objects.when_ready(entry, waiter.count_down)
                if waiter.left:
                    self.block(waiter)
                if entry.state == PLAIN:
                    return _loads(entry.data)
        return self.get((ref,), timeout)[0]

    def _await_all(
        self, found: List[Tuple[bytes, Entry]], deadline: Optional[float]
    ) -> Dict[bytes, memoryview]:
        """Waits until all have values, and maps those in shared memory."""
        views: Dict[bytes, memoryview] = {}
        for attempt in range(_MAX_ATTEMPTS):
            self._await_settled(found, deadline)
            again, refusal = self._map_all(found, views, deadline)
            if refusal is not None:
                self._wait_for_room(refusal, attempt, deadline)
            elif not again:
                return views
        return views

    def _wait_for_room(self, refusal: HubError, attempt: int, deadline: Optional[float]) -> None:
        """An object is there and could not come: waits for a while, or raises why not."""
        if refusal.code != ops.STORE_FULL or attempt + 1 == _MAX_ATTEMPTS:
            raise failures.of_transfer(refusal) from refusal
        pause = FIRST_PAUSE * 2.0**attempt
        if deadline is not None:
            pause = min(pause, max(0.0, deadline - time.monotonic()))
        self.block(Waiter(1), pause)

    def _await_settled(self, found: List[Tuple[bytes, Entry]], deadline: Optional[float]) -> None:
        with self.loop.lock:
            waiter = Waiter(0, hasty=True)
            failed = False
            for id, entry in found:
                if entry.state == PENDING:
                    self.want(id, entry)
                if entry.state == PENDING:
                    waiter.left += 1
                    self.objects.when_ready(entry, waiter.count_down)
                elif entry.state == ERROR:
                    failed = True
        if not waiter.left or (failed and self._first_error(found)):
            return
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not self._block_late(waiter, timeout, all(entry.node for _, entry in found)):
            left = sum(1 for _, entry in found if entry.state == PENDING)
            raise exceptions.GetTimeoutError(
                f"Get timed out: {left} of {len(found)} objects were not ready in time."
            )
        if len(found) > 1:
            # Where one has failed the others may still be pending.
            self._first_error(found)

    def _block_late(self, waiter: Waiter, timeout: Optional[float], soon: bool) -> bool:
        """`block`; but what is most likely on this node already is not worth lending a CPU for."""
        if soon and self.role == "worker" and (timeout is None or timeout > _GRACE):
            if self.loop.wait(waiter, _GRACE):
                return True
            if timeout is not None:
                timeout -= _GRACE
        return self.block(waiter, timeout)

    def _first_error(self, found: List[Tuple[bytes, Entry]]) -> bool:
        """Raises the error of one that has failed: nobody waits for the others then."""
        for id, entry in found:
            if entry.state == ERROR:
                self.unhandled.seen(id)
                raise self.error_of(entry.data)
        return False

    def _map_all(
        self,
        found: List[Tuple[bytes, Entry]],
        views: Dict[bytes, memoryview],
        deadline: Optional[float],
    ) -> Tuple[bool, Optional[HubError]]:
        """Maps the objects in shared memory; whether some are lost and come again, and why one that
        is not lost could not come here."""
        lost: List[Tuple[bytes, InArena]] = []
        refusals: List[HubError] = []
        waiter = Waiter(0)
        near = True
        with self.loop.lock:
            for id, entry in found:
                if entry.state != ARENA or id in views:
                    continue
                known = self.arena.mapped(id)
                if known is not None:
                    views[id] = known
                    continue
                waiter.left += 1

                def pinned(
                    view: Optional[memoryview],
                    error: Optional[HubError],
                    id: bytes = id,
                    where: InArena = entry.data,
                ) -> None:
                    if view is not None:
                        views[id] = view
                    elif error is None or failures.is_lost(error):
                        lost.append((id, where))
                    else:
                        refusals.append(error)
                    waiter.count_down()

                where = entry.data
                near = near and self.node_id in where.locations
                self.arena.pin_later(id, where.locations, where.size, pinned)
        if waiter.left:
            timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not self._block_late(waiter, timeout, near):
                raise exceptions.GetTimeoutError(
                    "Get timed out: objects were ready, but not fetched to this node in time."
                )
        for id, where in lost:
            self.report_lost(id, where)
        return bool(lost), refusals[0] if refusals else None
