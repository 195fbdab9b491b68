"""`put` for another owner: the value is stored here, and an actor owns the object."""

from __future__ import annotations

import os
from typing import Any, Callable

from iorun._core import failures, serialization
from iorun._core.frames import (
    ARENA,
    ERROR,
    FULL,
    IN_ARENA,
    OWN,
    PLAIN,
    FrameError,
    decode_results,
    encode_results,
    frame,
)
from iorun._core.loop import Waiter
from iorun._core.objects import Entry
from iorun._core.tasks import id_suffix
from iorun.object_ref import ObjectRef

#: Seconds between two looks at an actor that is not there yet.
_LOOK = 0.01
#: Above the counters of the owner's own objects, which begin at 1.
_GIVEN = 1 << 63


class Giving:
    """The part of the core that stores values which others own."""

    # Of CoreWorker; named here for type checkers.
    loop: Any
    worker_id: bytes
    node_id: bytes
    objects: Any
    arena: Any
    inline_limit: int
    peer: Callable[..., Any]
    want: Callable[..., None]
    block: Callable[..., bool]
    put: Callable[..., ObjectRef]
    error_of: Callable[..., BaseException]
    _housekeeping: Callable[[], None]

    def put_for(self, value: Any, handle: Any) -> ObjectRef:
        """Stores a value that the actor of a handle owns; returns when the actor knows of it.

        Raises the actor's error where it is dead.
        """
        owner = self._owner(handle)
        if owner.worker == self.worker_id:
            return self.put(value)
        value = serialization.serialize(value)
        contained = [ref.binary() for ref in value.refs]
        # Nobody but the owner counts its objects: at random, and away from its own numbers.
        number = _GIVEN | int.from_bytes(os.urandom(8), "little")
        id = owner.worker + id_suffix(number, 0)
        size = value.size()
        is_large = size > self.inline_limit
        self._housekeeping()
        if is_large:
            with self.loop.lock:
                table = self.objects.table_for(contained, None)
            self.arena.write(id, size, value.pieces(table), (owner.node, owner.worker))
        with self.loop.lock:
            receiver = self.peer(owner.worker, owner.node)
            entry = Entry(1, source=1)
            entry.node = owner.node
            self.objects.entries[id] = entry
            if receiver is not None:
                table = self.objects.table_for(contained, receiver)
                if is_large:
                    tag, data = ARENA, IN_ARENA.pack(self.node_id, size, len(contained)) + table
                elif value.plain:
                    tag, data = PLAIN, value.data
                else:
                    tag, data = FULL, value.full(table)
                receiver.send(frame(OWN, body=id + encode_results([(tag, data)])))
            # On the same path, behind it: the answer says that the owner has it.
            self.want(id, entry)
            waiter = Waiter(1)
            self.objects.when_ready(entry, waiter.count_down)
            if self.loop.dirty:
                self.loop.flush()
        reference = ObjectRef(id, True)
        if waiter.left:
            self.block(waiter)
        if entry.state == ERROR:
            raise self.error_of(entry.data)
        return reference

    def _owner(self, handle: Any) -> Any:
        """The process of an actor, once it has one."""
        client = handle._client
        if client.core is not self:
            from iorun._actor_handle import _foreign

            raise _foreign(handle)
        while True:
            with self.loop.lock:
                if client.state == "DEAD":
                    raise failures.of_actor(client, client.cause)
                if client.peer is not None:
                    return client.peer
            self.block(Waiter(1), _LOOK)

    def on_own(
        self, peer: Any, _flags: int, _aux: int, _number: int, data: bytes, start: int, end: int
    ) -> None:
        """Another process has stored a value that is to be ours."""
        id = data[start : start + 28]
        results = decode_results(data, start + 28, end)
        if len(id) != 28 or id[:16] != self.worker_id or len(results) != 1:
            raise FrameError("an object to own that is none of this process")
        if id in self.objects.entries or not int.from_bytes(id[16:24], "little") & _GIVEN:
            raise FrameError("an object to own of a number that this process gives itself")
        entry = self.objects.entries[id] = Entry()
        self.objects.add_borrower(id, entry, peer.worker)
        self.objects.settle(id, *results[0])
