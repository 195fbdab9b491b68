"""The objects that this process owns or borrows: states, values, and who counts on them.

The rule of counting is "the sender adds for the receiver": whoever sends a reference to a process
that is not its owner tells the owner first; the receiver, when it has no use for it any more,
gives back as many receipts as it got. The owner keeps a signed sum for each borrower, so that
the order in which the two messages come does not matter.
"""

from __future__ import annotations

import logging
from collections import deque
from itertools import repeat
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, Iterable, List, Optional, Tuple

from iorun._core import serialization
from iorun._core.frames import (
    ARENA,
    BORROW,
    BORROWED,
    COUNTED,
    ERROR,
    FULL,
    IN_ARENA,
    PLAIN,
    REMOVE,
    FrameError,
    frame,
)
from iorun._core.loop import Waiter
from iorun.object_ref import ObjectRef, dropped

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

logger = logging.getLogger("iorun")

PENDING = 0
#: The value was deleted; only its task is kept, because a value that can be lost depends on it.
GONE = 5

#: How the ids end that count an actor's handles. Their value, None, comes when the actor has been
#: created, so that others do not look for it before.
HANDLE_SUFFIX = b"\xff" * 4


class Entry:
    """What is known of one object."""

    __slots__ = (
        "callbacks",
        "contained",
        "data",
        "local",
        "node",
        "remote",
        "source",
        "state",
    )

    def __init__(self, local: int = 0, source: Any = None):
        # PENDING, one of the result tags (PLAIN, FULL, ARENA, ERROR), or GONE.
        self.state = PENDING
        # PLAIN, FULL, ERROR: bytes. ARENA: an `InArena`.
        self.data: Any = None
        # References and other holders in this process.
        self.local = local
        # Owned: borrower -> signed sum. Borrowed: None.
        self.remote: Optional[Dict[bytes, int]] = None
        # Owned: the task that makes it. Borrowed: how many receipts are to be given back (int).
        self.source = source
        # Borrowed: the owner's node.
        self.node: Optional[bytes] = None
        # Ids inside the value, each held once.
        self.contained: Optional[List[bytes]] = None
        # Called, with the lock held, when the state changes from PENDING.
        self.callbacks: Any = None


class InArena:
    """An object in shared memory: its size, and the nodes that have it."""

    __slots__ = ("locations", "size")

    def __init__(self, size: int, locations: List[bytes]):
        self.size = size
        self.locations = locations


class ObjectTable:
    """All objects of a process. Methods are called with the loop's lock held, unless they say."""

    def __init__(self, core: "CoreWorker"):
        self.core = core
        self.entries: Dict[bytes, Entry] = {}
        self._ready: Deque[Callable[[], None]] = deque()
        self._calling = False
        self._letting_go: Deque[bytes] = deque()
        self._releasing = False

    # Owned objects

    def settle(self, id: bytes, tag: int, data: Any) -> None:
        """The object has a value now (as a result on the wire has it), or an error."""
        entry = self.entries.get(id)
        if entry is None:
            self.discard(id, tag, data)
            return
        if tag == FULL:
            entry.contained = self.receive(serialization.ref_table(data))
        elif tag == ARENA:
            node, size, count = IN_ARENA.unpack_from(data)
            table = serialization.decode_refs(data, IN_ARENA.size, count)
            entry.contained = self.receive(table) if table else None
            data = InArena(size, [node])
        self.settle_here(entry, tag, data)
        # Whoever waited may have let go of it, and freed it, already.
        if not entry.local and not entry.remote and self.entries.get(id) is entry:
            if id[:16] == self.core.worker_id:
                self._free(id, entry)

    def add_copy(self, entry: Entry, data: bytes) -> None:
        """An object in shared memory was made once more, on another node. What this copy contains is
        what the first one does."""
        node, _, count = IN_ARENA.unpack_from(data)
        if node not in entry.data.locations:
            entry.data.locations = [*entry.data.locations, node]
        if count:
            for id in self.receive(serialization.decode_refs(data, IN_ARENA.size, count)):
                self.release(id)

    def settle_here(self, entry: Entry, tag: int, data: Any) -> None:
        """Sets the value and tells whoever waits."""
        entry.data = data
        entry.state = tag
        callbacks = entry.callbacks
        if callbacks is not None:
            entry.callbacks = None
            if tag == ERROR:
                for callback in callbacks:
                    waiter = getattr(callback, "__self__", None)
                    if waiter.__class__ is Waiter and waiter.hasty:
                        waiter.left = 1
            self.call_back(callbacks)

    def call_back(self, callbacks: List[Callable[[], None]]) -> None:
        """Calls them one after the other, and whatever they make ready in turn: no recursion."""
        ready = self._ready
        ready.extend(callbacks)
        if self._calling:
            return
        self._calling = True
        try:
            while ready:
                ready.popleft()()
        finally:
            self._calling = False
        self.core.loop.tell_poller()

    def when_ready(self, entry: Entry, callback: Callable[[], None]) -> None:
        """Calls back, with the lock held, once the entry is not pending; at once if it is not."""
        if entry.state != PENDING:
            callback()
        elif entry.callbacks is None:
            entry.callbacks = [callback]
        else:
            entry.callbacks.append(callback)

    def discard(self, id: bytes, tag: int, data: bytes) -> None:
        """Nobody wants this value: gives back what came with it."""
        if tag == FULL:
            for inner in self.receive(serialization.ref_table(data)):
                self.release(inner)
        elif tag == ARENA:
            node, _, count = IN_ARENA.unpack_from(data)
            for inner in self.receive(serialization.decode_refs(data, IN_ARENA.size, count)):
                self.release(inner)
            if id[:16] == self.core.worker_id:
                self.core.arena.free(id, [node])

    def new_ref(self, id: bytes, entry: Entry) -> ObjectRef:
        """A reference to an object that this process knows."""
        entry.local += 1
        return ObjectRef(id, True)

    # Counting

    def hold(self, id: bytes) -> None:
        """One holder in this process more, of an object that it knows. Takes the lock."""
        with self.core.loop.lock:
            entry = self.entries.get(id)
            if entry is not None:
                entry.local += 1

    def release(self, id: bytes) -> None:
        """One holder in this process less."""
        entry = self.entries.get(id)
        if entry is None:
            return
        entry.local -= 1
        if entry.local <= 0:
            self._maybe_free(id, entry)

    def _maybe_free(self, id: bytes, entry: Entry) -> None:
        if id[:16] == self.core.worker_id:
            if not entry.remote:
                self._free(id, entry)
            return
        receipts = entry.source
        del self.entries[id]
        self.release_contained(entry)
        self.core.arena.forget(id)
        owner = self.core.peer(id[:16], entry.node)
        if owner is not None and receipts:
            owner.send(frame(REMOVE, body=COUNTED.pack(id, receipts)))

    def _free(self, id: bytes, entry: Entry) -> None:
        if entry.state == PENDING and entry.source is not None:
            # The task still runs; its result is discarded when it comes.
            entry.source.orphaned(id)
        task = entry.source
        state, data = entry.state, entry.data
        entry.data = None
        self.release_contained(entry)
        if state == ARENA:
            self.core.arena.free(id, data.locations)
        elif state == ERROR:
            self.core.unhandled.freed(id, data)
        if task is not None and state == ARENA and task.lineage:
            # A value that may be lost was made of this one: keep the way to make it again.
            entry.state = GONE
            return
        del self.entries[id]
        if task is not None:
            task.forgotten(id)
        elif id[24:] == HANDLE_SUFFIX:
            self.core.actors.handles_gone(id)

    def free_value(self, id: bytes, error: bytes) -> None:
        """Takes an own object's value away, although references exist: they get this error."""
        entry = self.entries.get(id)
        if entry is None or id[:16] != self.core.worker_id:
            return
        if entry.state not in (PLAIN, FULL, ARENA):
            return
        state, data = entry.state, entry.data
        entry.data = error
        entry.state = ERROR
        self.release_contained(entry)
        if state == ARENA:
            self.core.arena.free(id, data.locations)

    def drop_lineage(self, id: bytes) -> None:
        """No later value needs the way to make this one any more."""
        entry = self.entries.get(id)
        if entry is not None and entry.state == GONE:
            del self.entries[id]
            if entry.source is not None:
                entry.source.forgotten(id)

    def release_contained(self, entry: Entry) -> None:
        """The value is not there any more: lets go of what it contains."""
        contained = entry.contained
        if not contained:
            return
        entry.contained = None
        # A list of references can be as long as one likes: no recursion here either.
        self._letting_go.extend(contained)
        if self._releasing:
            return
        self._releasing = True
        try:
            while self._letting_go:
                self.release(self._letting_go.popleft())
        finally:
            self._releasing = False

    def drain(self) -> None:
        """Counts the references that Python has deleted since the last time. Takes the lock."""
        if not dropped:
            return
        pop = dropped.popleft
        entries = self.entries
        with self.core.loop.lock:
            for _ in range(len(dropped)):
                try:
                    id = pop()
                except IndexError:
                    return
                entry = entries.get(id)
                if entry is not None:
                    local = entry.local - 1
                    entry.local = local
                    if local <= 0:
                        self._maybe_free(id, entry)

    # References that travel

    def table_for(self, ids: Iterable[bytes], receiver: Any) -> bytes:
        """The wire form of references that are about to be sent, counted for the receiver.

        Without a receiver they are counted for nobody: see `pin_for_ever`.
        """
        own = self.core.worker_id
        parts = []
        for id in ids:
            entry = self.entries.get(id)
            owner = id[:16]
            if owner == own:
                node = self.core.node_id
                if entry is not None and receiver is not None:
                    self.add_borrower(id, entry, receiver.worker)
            else:
                node = entry.node if entry is not None and entry.node else bytes(16)
                if receiver is not None and owner != receiver.worker:
                    peer = self.core.peer(owner, node)
                    if peer is not None:
                        peer.send(frame(BORROW, body=BORROWED.pack(id, receiver.worker)))
            parts.append(id + node)
        return b"".join(parts)

    def add_borrower(self, id: bytes, entry: Entry, worker: bytes, count: int = 1) -> None:
        """A borrower has so many receipts more (or less)."""
        remote = entry.remote
        if remote is None:
            remote = entry.remote = {}
        left = remote.get(worker, 0) + count
        if left:
            remote[worker] = left
            return
        remote.pop(worker, None)
        if not remote and entry.local <= 0:
            self._free(id, entry)

    def receive(self, table: List[Tuple[bytes, bytes]]) -> List[bytes]:
        """Holds references that came in; the caller releases each when it is done with them."""
        own = self.core.worker_id
        entries = self.entries
        ids = []
        for id, node in table:
            entry = entries.get(id)
            if id[:16] == own:
                if entry is None:
                    # A reference of ours that we have freed: it can only end in an error.
                    entry = entries[id] = Entry()
                    self.settle_here(entry, ERROR, self.core.freed_error(id))
                entry.local += 1
            else:
                if entry is None:
                    entry = entries[id] = Entry(source=0)
                    entry.node = node
                entry.source += 1
                entry.local += 1
            ids.append(id)
        return ids

    def refs_of(self, ids: List[bytes], node: bytes = b"") -> List[ObjectRef]:
        """References to held objects, each counted."""
        entries = self.entries
        for id in ids:
            entry = entries.get(id)
            if entry is None:
                entry = entries[id] = Entry(source=0 if id[:16] != self.core.worker_id else None)
                entry.node = node
            entry.local += 1
        return list(map(ObjectRef, ids, repeat(True)))

    def pin_for_ever(self, id: bytes) -> bytes:
        """The user's own pickle has a reference: its object lives as long as its owner.

        Returns the owner's node. Takes the lock.
        """
        with self.core.loop.lock:
            entry = self.entries.get(id)
            if entry is None:
                return self.core.node_id
            if id[:16] == self.core.worker_id:
                self.add_borrower(id, entry, b"pickled by user!")
                return self.core.node_id
            # Adds a borrower that never gives back.
            owner = self.core.peer(id[:16], entry.node)
            if owner is not None:
                owner.send(frame(BORROW, body=BORROWED.pack(id, b"pickled by user!")))
            return entry.node or bytes(16)

    def adopt(self, id: bytes, node: bytes) -> ObjectRef:
        """A reference out of the user's own pickle; its maker has pinned it. Takes the lock."""
        with self.core.loop.lock:
            entry = self.entries.get(id)
            if entry is None:
                if id[:16] == self.core.worker_id:
                    entry = self.entries[id] = Entry()
                    self.settle_here(entry, ERROR, self.core.freed_error(id))
                else:
                    entry = self.entries[id] = Entry(source=0)
                    entry.node = node
            return self.new_ref(id, entry)

    # Frames of other processes

    def on_borrow(self, data: bytes, start: int, end: int) -> None:
        """Somebody gave a reference of ours to a third process."""
        for at in range(start, end, BORROWED.size):
            id, worker = BORROWED.unpack_from(data, at)
            entry = self._owned(id)
            if entry is not None:
                self.add_borrower(id, entry, worker)

    def on_remove(self, worker: bytes, data: bytes, start: int, end: int) -> None:
        """A borrower gives receipts back."""
        for at in range(start, end, COUNTED.size):
            id, count = COUNTED.unpack_from(data, at)
            entry = self._owned(id)
            if entry is not None:
                self.add_borrower(id, entry, worker, -count)

    def _owned(self, id: bytes) -> Optional[Entry]:
        if id[:16] != self.core.worker_id:
            raise FrameError("a count of a reference that this process does not own")
        return self.entries.get(id)

    def borrower_lost(self, worker: bytes) -> None:
        """A process is gone: whatever it had borrowed is given back."""
        for id, entry in list(self.entries.items()):
            remote = entry.remote
            if remote and worker in remote:
                del remote[worker]
                if not remote and entry.local <= 0:
                    self._free(id, entry)

    def owner_lost(self, worker: bytes) -> List[Tuple[bytes, Entry]]:
        """The pending entries whose owner was that process."""
        return [
            (id, entry)
            for id, entry in self.entries.items()
            if id[:16] == worker and entry.state == PENDING
        ]


def waiter_on(table: ObjectTable, entries: Iterable[Entry], count: int) -> Waiter:
    """A waiter for so many of the entries. With the lock held."""
    waiter = Waiter(count)
    for entry in entries:
        table.when_ready(entry, waiter.count_down)
    return waiter


__all__ = [
    "ARENA",
    "ERROR",
    "FULL",
    "GONE",
    "PENDING",
    "PLAIN",
    "Entry",
    "InArena",
    "ObjectTable",
    "waiter_on",
]
