"""`put`, and the errors that stand for values that cannot be had."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional

from iorun import exceptions
from iorun._core import failures, serialization
from iorun._core.objects import ARENA, FULL, PLAIN, Entry
from iorun._core.tasks import id_suffix
from iorun.object_ref import ObjectRef


class Storing:
    """The part of the core that stores values."""

    # Of CoreWorker; named here for type checkers.
    loop: Any
    worker_id: bytes
    node_id: bytes
    objects: Any
    arena: Any
    inline_limit: int
    counter: int
    _housekeeping: Callable[[], None]

    def put(self, value: Any) -> ObjectRef:
        """Stores a value; see `iorun.put`."""
        if type(value) in serialization.SIMPLE:
            data = serialization.dumps(value, 5)
            if len(data) <= self.inline_limit:
                return self._put_entry(PLAIN, data)
        return self.put_serialized(serialization.serialize(value))

    def _put_entry(self, tag: int, data: Any, contained: Optional[List[bytes]] = None) -> ObjectRef:
        entry = Entry(1)
        entry.data = data
        entry.state = tag
        entry.contained = contained
        with self.loop.lock:
            self.counter = number = self.counter + 1
            id = self.worker_id + id_suffix(number, 0)
            self.objects.entries[id] = entry
        from iorun.object_ref import dropped

        if len(dropped) > 64:
            self._housekeeping()
        return ObjectRef(id, True)

    def put_serialized(self, value: serialization.Serialized) -> ObjectRef:
        """Stores a value that is serialised already."""
        if value.plain and len(value.data) <= self.inline_limit:
            return self._put_entry(PLAIN, value.data)
        ids = [ref.binary() for ref in value.refs]
        with self.loop.lock:
            table = self.objects.table_for(ids, None)
            for id in ids:
                self.objects.entries[id].local += 1
        size = value.size()
        if size <= self.inline_limit:
            return self._put_entry(FULL, value.full(table), ids)
        self._housekeeping()
        from iorun._core.objects import InArena

        with self.loop.lock:
            self.counter = number = self.counter + 1
        id = self.worker_id + id_suffix(number, 0)
        self.arena.write(id, size, value.pieces(table), (self.node_id, self.worker_id))
        entry = Entry(1)
        entry.state = ARENA
        entry.data = InArena(size, [self.node_id])
        entry.contained = ids or None
        with self.loop.lock:
            self.objects.entries[id] = entry
        return ObjectRef(id, True)

    def lost_error(self, id: bytes) -> Exception:
        """The error of an object that is nowhere any more."""
        return exceptions.ObjectLostError(id.hex(), id[:16].hex())

    def freed_error(self, id: bytes) -> bytes:
        """The bytes of the error of an object that its owner has freed."""
        return serialization.dump_error(
            exceptions.ReferenceCountingAssertionError(id.hex(), id[:16].hex())
        )

    def owner_died(self, id: bytes, cause: Optional[Dict[str, Any]]) -> bytes:
        """The bytes of the error of an object whose owner is gone."""
        where = f"{id[:16].hex()}: {failures.describe(cause)}" if cause else id[:16].hex()
        return serialization.dump_error(exceptions.OwnerDiedError(id.hex(), where))
