"""`wait`, and futures of values."""

from __future__ import annotations

import logging
import threading
import time
from operator import attrgetter
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from iorun._core import failures, ops, serialization
from iorun._core.fetching import FIRST_PAUSE, Fetching
from iorun._core.hub import HubError
from iorun._core.loop import Waiter
from iorun._core.objects import ARENA, ERROR, PENDING, PLAIN
from iorun.object_ref import ObjectRef

logger = logging.getLogger("iorun")

_id_of = attrgetter("_id")
_loads = serialization.loads
#: So many seconds `wait` waits before it asks again for an object that could not come to this node.
_NO_ROOM_PAUSE = 0.1
#: So often at most whoever awaits an object asks for it where there is no room.
_MOST_REFUSALS = 7


class Waiting(Fetching):
    """The part of the core that waits."""

    #: Objects that are on their way to this node because somebody waits for them.
    _bringing: Dict[bytes, List[Waiter]]
    #: The main thread's, which goes on being told of what its last `wait` was for.
    _watcher: Waiter
    _watcher_told: Callable[[], None]
    #: The list that `wait` returned last, so that it is known again: its identity, its length, the
    #: ids at its ends. No references: what the program lets go of must go.
    _left_over: Tuple[int, int, bytes, bytes] = (0, 0, b"", b"")

    def wait_settled(self, refs: Sequence[ObjectRef]) -> None:
        """Waits until all have values or errors; raises nothing."""
        entries = self.objects.entries
        waiter = Waiter(0)
        with self.loop.lock:
            for ref in refs:
                entry = entries[ref._id]
                self.want(ref._id, entry)
                if entry.state == PENDING:
                    waiter.left += 1
                    self.objects.when_ready(entry, waiter.count_down)
        if waiter.left:
            self.block(waiter)

    def wait(
        self,
        refs: List[ObjectRef],
        num_returns: int = 1,
        timeout: Optional[float] = None,
        fetch_local: bool = True,
    ) -> Tuple[List[ObjectRef], List[ObjectRef]]:
        """(those that are ready, at most `num_returns`; the others), each in the given order."""
        get = self.objects.entries.get
        if self.loop.dirty:
            self.loop.flush()
        if num_returns == 1:
            try:
                index = self._first_here(refs, fetch_local)
            except AttributeError:
                return self._wait_mixed(refs, num_returns, timeout)
            if index is not None:
                self._seen([refs[index]])
                others = refs[:index] + refs[index + 1 :]
                if others:
                    self._left_over = (id(others), len(others), others[0]._id, others[-1]._id)
                return [refs[index]], others
        try:
            ids = list(map(_id_of, refs))
        except AttributeError:
            return self._wait_mixed(refs, num_returns, timeout)
        ready = [i for i, entry in enumerate(map(get, ids)) if entry is not None and entry.state]
        if len(ready) < num_returns and timeout == 0:
            self.loop.poll_now()
        if len(ready) < num_returns:
            self._watch(ids, num_returns, timeout)
            ready = [
                i for i, entry in enumerate(map(get, ids)) if entry is not None and entry.state
            ]
        if fetch_local:
            if self._any_far(ids):
                return self._wait_fetched(refs, ids, num_returns, timeout)
        ready = ready[:num_returns]
        chosen = set(ready)
        found = [refs[i] for i in ready]
        self._seen(found)
        return found, [ref for i, ref in enumerate(refs) if i not in chosen]

    def _seen(self, refs: List[ObjectRef]) -> None:
        """Whoever has waited knows of an error: it is not told of a second time."""
        get = self.objects.entries.get
        for ref in refs:
            entry = get(ref._id)
            if entry is not None and entry.state == ERROR:
                self.unhandled.seen(ref._id)

    def is_left_over(self, refs: List[Any]) -> bool:
        """Whether this is the list of others that `wait` returned last: it needs no checks again.

        Programs wait for one of a thousand, a thousand times. A list that was changed in place, with
        its ends and length as they were, passes: then a check is missed, and nothing else.
        """
        last = self._left_over
        return (
            id(refs) == last[0]
            and len(refs) == last[1]
            and getattr(refs[0], "_id", None) is last[2]
            and getattr(refs[-1], "_id", None) is last[3]
        )

    def _first_here(self, refs: List[ObjectRef], fetch_local: bool) -> Optional[int]:
        """The first ref that is ready; None where there is none, or it must come here first."""
        get = self.objects.entries.get
        for index, entry in enumerate(map(get, map(_id_of, refs))):
            if entry is not None and entry.state:
                if entry.state != ARENA or not fetch_local or self._is_here(refs[index]._id, entry):
                    return index
                return None
        return None

    def _watch(self, ids: List[bytes], num_returns: int, timeout: Optional[float]) -> None:
        """Waits until so many of the objects are settled, or the time is up."""
        waiter = self._watcher
        # In a callback inside of a wait of this very thread, the outer one is in use.
        lasting = threading.current_thread() is threading.main_thread() and waiter.left <= 0
        if not lasting:
            waiter = Waiter(0)
        told = self._watcher_told if lasting else waiter.count_down
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            while self._watch_more(ids, num_returns, waiter, told) and timeout != 0:
                remaining = None if deadline is None else deadline - time.monotonic()
                if remaining is not None and remaining <= 0:
                    return
                self.block(waiter, remaining)
        finally:
            waiter.left = 0
            if not lasting:
                self._watch_no_more(ids, told)

    def _watch_more(
        self, ids: List[bytes], num_returns: int, waiter: Waiter, told: Callable[[], None]
    ) -> bool:
        """Has the waiter told of each that is not settled; whether too few are.

        Those that told it before, because the last `wait` was for them, too, are left as they are.
        """
        get = self.objects.entries.get
        left = num_returns
        with self.loop.lock:
            for id in ids:
                entry = get(id)
                if entry is None:
                    raise failures.of_unknown(id)
                if entry.state == PENDING:
                    callbacks = entry.callbacks
                    if callbacks is not None and told in callbacks:
                        continue
                    self.want(id, entry)
                    if entry.state == PENDING:
                        self.objects.when_ready(entry, told)
                        continue
                left -= 1
            waiter.left = max(0, left)
        return left > 0

    def _watch_no_more(self, ids: List[bytes], told: Callable[[], None]) -> None:
        get = self.objects.entries.get
        with self.loop.lock:
            for id in ids:
                entry = get(id)
                if entry is not None and entry.callbacks and told in entry.callbacks:
                    entry.callbacks.remove(told)

    def _any_far(self, ids: List[bytes]) -> bool:
        """Whether a ready object lies on other nodes only."""
        get = self.objects.entries.get
        for id, entry in zip(ids, map(get, ids)):
            if entry is not None and entry.state == ARENA and not self._is_here(id, entry):
                return True
        return False

    def _is_here(self, id: bytes, entry: Any) -> bool:
        return self.node_id in entry.data.locations or self.arena.mapped(id) is not None

    def _wait_fetched(
        self,
        refs: List[ObjectRef],
        ids: List[bytes],
        num_returns: int,
        timeout: Optional[float],
    ) -> Tuple[List[ObjectRef], List[ObjectRef]]:
        """`wait` where ready objects must come from other nodes: those of this node come first."""
        deadline = None if timeout is None else time.monotonic() + timeout
        entries = self.objects.entries
        while True:
            with self.loop.lock:
                waiter = Waiter(1)
                ready = []
                for index, id in enumerate(ids):
                    entry = entries[id]
                    if entry.state == PENDING:
                        self.want(id, entry)
                        self.objects.when_ready(entry, waiter.count_down)
                    elif entry.state != ARENA or self._is_here(id, entry):
                        ready.append(index)
                    else:
                        self._bring(id, entry, waiter)
            left = None if deadline is None else deadline - time.monotonic()
            if len(ready) >= num_returns or (left is not None and left <= 0):
                ready = ready[:num_returns]
                chosen = set(ready)
                return (
                    [refs[i] for i in ready],
                    [ref for i, ref in enumerate(refs) if i not in chosen],
                )
            self.block(waiter, left)

    def _bring(self, id: bytes, entry: Any, waiter: Waiter) -> None:
        """Copies an object to this node. With the lock held."""
        waiting = self._bringing.get(id)
        if waiting is not None:
            waiting.append(waiter)
            return
        waiting = self._bringing[id] = [waiter]
        where = entry.data

        def tell() -> None:
            self._bringing.pop(id, None)
            for waiter in waiting:
                waiter.count_down()

        def done(view: Optional[memoryview], error: Optional[HubError]) -> None:
            if error is not None and not failures.is_lost(error):
                # Whoever waits asks again then.
                self.loop.after(_NO_ROOM_PAUSE, tell)
                return
            if error is None:
                where.locations.append(self.node_id)
            else:
                self.loop.deferred.append((self.report_lost, (id, where)))
            tell()

        self.arena.pin_later(id, where.locations, where.size, done)

    def _wait_mixed(
        self, waited: List[Any], num_returns: int, timeout: Optional[float]
    ) -> Tuple[List[Any], List[Any]]:
        """`wait` where there are generators: one is ready when its next item is."""

        def is_ready(item: Any) -> bool:
            if isinstance(item, ObjectRef):
                return self.objects.entries[item._id].state != PENDING
            # Of one that has ended `next` says so.
            self.loop.poll_now()
            return bool(item.has_next())

        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self.loop.lock:
                waiter = Waiter(1)
                for item in waited:
                    if isinstance(item, ObjectRef):
                        entry = self.objects.entries[item._id]
                        self.want(item._id, entry)
                        if entry.state == PENDING:
                            self.objects.when_ready(entry, waiter.count_down)
                    elif not item.has_next():
                        item._stream.waiting.append(waiter.count_down)
                ready = [item for item in waited if is_ready(item)][:num_returns]
            left = None if deadline is None else deadline - time.monotonic()
            if len(ready) >= num_returns or (left is not None and left <= 0):
                chosen = {id(item) for item in ready}
                return ready, [item for item in waited if id(item) not in chosen]
            self.block(waiter, left)

    # Futures

    def get_later(self, ref: ObjectRef, done: Callable[[Any, Any], None]) -> None:
        """Calls `done(value, error)` once there is one; never with the lock held."""
        id = ref._id
        refused = 0

        def settled() -> None:
            if entry.state == ARENA:
                known = self.arena.mapped(id)
                if known is not None:
                    self.loop.deferred.append((finish, (known, None)))
                    return
                where = entry.data
                self.arena.pin_later(
                    id,
                    where.locations,
                    where.size,
                    lambda view, error: self.loop.deferred.append((finish, (view, error))),
                )
            else:
                self.loop.deferred.append((finish, (None, None)))

        def finish(view: Optional[memoryview], error: Optional[HubError]) -> None:
            nonlocal refused
            if error is not None and failures.is_lost(error):
                self.report_lost(id, entry.data)
                with self.loop.lock:
                    self.objects.when_ready(entry, settled)
                return
            if error is not None:
                if error.code != ops.STORE_FULL or refused == _MOST_REFUSALS:
                    done(None, failures.of_transfer(error))
                    return
                refused += 1
                pause = FIRST_PAUSE * 2.0 ** (refused - 1)
                self.loop.after(pause, lambda: self.objects.when_ready(entry, settled))
                return
            try:
                value = self._open(view) if view is not None else self.value_of(ref._id, entry)
            except BaseException as problem:
                done(None, problem)
            else:
                done(value, None)

        with self.loop.lock:
            entry = self.objects.entries.get(id)
            if entry is None:
                raise failures.of_unknown(id)
            self.want(id, entry)
            self.objects.when_ready(entry, settled)
        if self.loop.deferred or self.loop.dirty:
            self.loop.kick()

    def get_in_loop(self, ref: ObjectRef, loop: Any, future: Any) -> None:
        """Completes an asyncio future with the value."""
        entry = self.objects.entries.get(ref._id)
        if entry is not None and entry.state == PLAIN:
            future.set_result(_loads(entry.data))
            return
        thread = threading.get_ident()

        def complete(value: Any, error: Any) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(value)

        def done(value: Any, error: Any) -> None:
            if threading.get_ident() == thread:
                # This very loop polls: no need to wake it.
                complete(value, error)
            else:
                self.in_loop(loop, complete, value, error)

        self.get_later(ref, done)
