"""Tasks as their owner sees them: what is constant of many calls, and one call."""

from __future__ import annotations

import pickle
import struct
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence

from iorun._core import arguments, failures, serialization
from iorun._core.frames import (
    CALL,
    CALL_FULL,
    DEFINE,
    HEADER,
    U32,
    frame,
)
from iorun._core.objects import PENDING

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

_pack_header = HEADER.pack
_pack_template = U32.pack
id_suffix = struct.Struct("<QI").pack

STREAMING = "streaming"
DYNAMIC = "dynamic"


class DependencyPending(Exception):
    """A dependency that was there is lost, and its task runs again: the call has to wait once more."""


class Template:
    """What all calls of a function with the same options have in common; sent to a peer once."""

    __slots__ = (
        "code",
        "function_hash",
        "key",
        "max_retries",
        "name",
        "number",
        "number_bytes",
        "queue",
        "returns",
        "spec",
    )

    def __init__(
        self,
        number: int,
        name: str,
        spec: Dict[str, Any],
        returns: Any,
        max_retries: int,
        function_hash: bytes = b"",
        code: bytes = b"",
    ):
        self.number = number
        self.number_bytes = _pack_template(number)
        self.name = name
        # Builtin values only: what the executing side must know.
        self.spec = spec
        self.returns = returns
        self.max_retries = max_retries
        self.function_hash = function_hash
        self.code = code
        #: The task queue of its scheduling needs; None for methods of actors.
        self.queue: Any = None

    def introduce(self, peer: Any) -> None:
        """Sends the template to a peer that does not know it. With the lock held."""
        spec = self.spec
        if self.function_hash and self.function_hash not in peer.functions:
            spec = {**spec, "code": self.code}
            peer.functions.add(self.function_hash)
        peer.templates.add(self.number)
        peer.send(frame(DEFINE, number=self.number, body=pickle.dumps(spec, 5)))


class Task:
    """One call: submitted, perhaps several times, until it has a result."""

    __slots__ = (
        "arguments",
        "attempt",
        "cancelled",
        "core",
        "dependencies",
        "finished",
        "generator",
        "kept",
        "lineage",
        "missing",
        "nested",
        "number",
        "parent",
        "pinned",
        "place",
        "plain",
        "retries",
        "template",
    )

    def __init__(self, core: "CoreWorker", number: int, template: Template, parent: bytes):
        self.core = core
        self.number = number
        self.template = template
        #: The id of the task that submitted it, empty for the driver.
        self.parent = parent
        self.plain = True
        self.arguments: Any = b""
        # Ids; each is held while the task is not finished.
        self.dependencies: Sequence[bytes] = ()
        self.nested: Sequence[bytes] = ()
        self.missing = 0
        self.retries = template.max_retries
        self.attempt = 0
        self.cancelled = False
        self.finished = False
        # Where it is: a Lease, an ActorClient, or None while it waits.
        self.place: Any = None
        self.generator: Any = None
        # How many results are kept that may be lost; then the task can run again.
        self.kept = 0
        # How many later tasks may have to run again from this one's results.
        self.lineage = 0
        # Objects that are held because the task may run again.
        self.pinned: Sequence[bytes] = ()

    def return_ids(self) -> List[bytes]:
        """The ids of what it returns (of a generator: of its end)."""
        returns = self.template.returns
        prefix = self.core.worker_id
        if returns.__class__ is not int:
            returns = 1
        return [prefix + id_suffix(self.number, index) for index in range(returns)]

    def take_arguments(self, given: arguments.Arguments) -> None:
        """Sets the arguments and holds what they reference. With the lock held."""
        self.plain = given.plain
        self.arguments = given.data
        if given.plain:
            return
        objects = self.core.objects
        self.dependencies = tuple(ref.binary() for ref in given.dependencies)
        self.nested = tuple(ref.binary() for ref in given.nested)
        held = [objects.entries.get(id) for id in self.dependencies + self.nested]
        if None in held:
            raise failures.of_unknown((self.dependencies + self.nested)[held.index(None)])
        for entry in held:
            entry.local += 1
        # The ids hold now; the references would hold for as long as the arguments are kept.
        given.data.refs = [IdOnly(id) for id in self.nested]

    def release_arguments(self) -> None:
        """Lets go of what the arguments reference."""
        held = (*self.dependencies, *self.nested)
        if not self.kept:
            self.arguments = b""
            self.dependencies = ()
        self.nested = () if not self.kept else self.nested
        for id in held:
            self.core.objects.release(id)

    def send_to(self, peer: Any) -> None:
        """Sends the call. With the lock held. Raises DependencyPending, and KeyError with the id of a
        dependency that was freed."""
        template = self.template
        if template.number not in peer.templates:
            template.introduce(peer)
        if self.plain:
            data = self.arguments
            peer.path.send(
                _pack_header(16 + len(data), CALL, 0, self.attempt, self.number)
                + template.number_bytes
                + data
            )
            return
        entries = self.core.objects.entries
        for id in self.dependencies:
            if entries[id].state == PENDING:
                raise DependencyPending
        body = arguments.encode_full(self.core, self.arguments, self.dependencies, peer)
        peer.path.send(
            _pack_header(16 + len(body), CALL, CALL_FULL, self.attempt, self.number)
            + template.number_bytes
            + body
        )

    # What the object table tells

    def orphaned(self, id: bytes) -> None:
        """Nobody waits for this result any more."""

    def forgotten(self, id: bytes) -> None:
        """The result, and with it the need to make it again, is gone."""
        if self.generator is not None:
            self.generator.kept -= 1
            copies = self.generator.missing.pop(id, None)
            if copies:
                self.core.arena.free(id, copies)
            if not self.finished:
                return
        if self.kept:
            self.kept -= 1
            if not self.kept:
                self.drop_lineage()

    def keep_lineage(self, count: int) -> None:
        """Some results can be lost: keep what it takes to make them again."""
        self.kept = count
        pinned = []
        for id in (*self.dependencies, *self.nested):
            entry = self.core.objects.entries.get(id)
            if entry is None:
                continue
            if isinstance(entry.source, Task):
                entry.source.lineage += 1
            elif id[:16] == self.core.worker_id:
                # Nothing can make it again: what was put, or may be tried once only.
                entry.local += 1
                pinned.append(id)
        self.pinned = pinned

    def drop_lineage(self) -> None:
        """The task will not run again."""
        needed = (*self.dependencies, *self.nested)
        self.dependencies = self.nested = ()
        self.arguments = b""
        self.unpin()
        for id in needed:
            entry = self.core.objects.entries.get(id)
            source = entry.source if entry is not None else None
            if isinstance(source, Task) and source.lineage:
                source.lineage -= 1
                if not source.lineage:
                    self.core.objects.drop_lineage(id)

    def unpin(self) -> None:
        """Lets go of what only waited for the task to run again."""
        pinned, self.pinned = self.pinned, ()
        for id in pinned:
            self.core.objects.release(id)


class IdOnly:
    """Stands for a reference where only its id is needed."""

    __slots__ = ("_id",)

    def __init__(self, id: bytes):
        self._id = id

    def binary(self) -> bytes:
        """The id."""
        return self._id


def function_hash(code: bytes) -> bytes:
    """Names a function by its content."""
    import hashlib

    return hashlib.blake2b(code, digest_size=16).digest()


def load_function(code: bytes) -> Any:
    """The function of `serialization.dump_function`."""
    return serialization.loads(code)


def first(values: Optional[Sequence[Any]]) -> Any:
    """The first of them, or None."""
    return values[0] if values else None
