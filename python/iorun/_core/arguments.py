"""A call's arguments on the wire.

Plain arguments are one pickle of `(args, kwargs)`. Full ones, where there are references or big
buffers, are: u32 length of a section with the values of the references that stand directly in
the call, that section (as results, see `frames.encode_results`), and the full form of
`(args, kwargs, places)`: `places` says where those values go.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Dict, List, Sequence, Tuple, Union

from iorun._core import serialization
from iorun._core.frames import ARENA, FULL, ID_SIZE, U32, FrameError, decode_results, encode_results
from iorun.object_ref import ObjectRef

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

#: An object in an arena as an argument: id, owner's node, size, how many locations follow.
DEPENDENCY = struct.Struct("<28s16sQH")

#: Bigger arguments are put into shared memory.
INLINE_LIMIT = 100 * 1024

_SIMPLE = serialization.SIMPLE
Place = Union[int, str]


class Arguments:
    """What one call takes: bytes, the references that stand in it, those inside its values."""

    __slots__ = ("data", "dependencies", "nested", "plain")

    def __init__(
        self, plain: bool, data: Any, dependencies: Sequence[ObjectRef], nested: Sequence[ObjectRef]
    ):
        self.plain = plain
        #: Plain: bytes. Else a `Serialized`.
        self.data = data
        self.dependencies = dependencies
        self.nested = nested


NONE = Arguments(True, b"", (), ())


def encode(core: "CoreWorker", args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> Arguments:
    """The arguments of a call. Raises TypeError where one cannot be pickled."""
    if not kwargs:
        if not args:
            return NONE
        for value in args:
            if type(value) not in _SIMPLE:
                break
        else:
            data = serialization.dumps((args, kwargs), 5)
            if len(data) <= INLINE_LIMIT:
                return Arguments(True, data, (), ())
    places: List[Place] = []
    dependencies: List[ObjectRef] = []
    for index, value in enumerate(args):
        if type(value) is ObjectRef:
            places.append(index)
            dependencies.append(value)
    for name, value in kwargs.items():
        if type(value) is ObjectRef:
            places.append(name)
            dependencies.append(value)
    if dependencies:
        args = tuple(None if type(value) is ObjectRef else value for value in args)
        kwargs = {k: None if type(v) is ObjectRef else v for k, v in kwargs.items()}
    try:
        value = serialization.serialize((args, kwargs, places) if places else (args, kwargs))
    except TypeError as error:
        raise TypeError(f"An argument of the call cannot be sent. {error}") from error
    if value.size() > INLINE_LIMIT:
        moved = _move_out(core, args, kwargs, places, dependencies)
        if moved:
            args, kwargs = moved
            value = serialization.serialize((args, kwargs, places))
    if value.plain and not places:
        return Arguments(True, value.data, (), ())
    if not places:
        # The full form always has places.
        value = serialization.serialize((args, kwargs, places))
    return Arguments(False, value, dependencies, value.refs)


def _move_out(
    core: "CoreWorker",
    args: Tuple[Any, ...],
    kwargs: Dict[str, Any],
    places: List[Place],
    dependencies: List[ObjectRef],
) -> Any:
    """Puts the big ones among the arguments, and has references to them in the call instead."""
    moved = False
    new_args = list(args)
    new_kwargs = dict(kwargs)
    for where in (new_args, new_kwargs):
        keys = list(range(len(new_args))) if where is new_args else list(new_kwargs)
        for key in keys:
            value = where[key]  # type: ignore[index, call-overload]
            if type(value) in _SIMPLE and not isinstance(value, (bytes, str)):
                continue
            if key in places:
                continue
            size = len(value) if isinstance(value, (bytes, str)) else None
            if size is not None and size <= INLINE_LIMIT // 4:
                continue
            serialized = serialization.serialize(value)
            if serialized.size() <= INLINE_LIMIT // 4:
                continue
            dependencies.append(core.put_serialized(serialized))
            places.append(key)
            where[key] = None  # type: ignore[index, call-overload]
            moved = True
    return (tuple(new_args), new_kwargs) if moved else None


def dependency_results(core: "CoreWorker", ids: Sequence[bytes], peer: Any) -> bytes:
    """The values of dependencies, for their receiver. With the lock held."""
    results = []
    for id in ids:
        entry = core.objects.entries[id]
        if entry.state == ARENA:
            where = entry.data
            node = core.node_id if id[:16] == core.worker_id else entry.node or bytes(16)
            locations = where.locations[:64]
            data = DEPENDENCY.pack(id, node, where.size, len(locations)) + b"".join(locations)
        else:
            data = entry.data
        if entry.contained:
            core.objects.table_for(entry.contained, peer)
        results.append((entry.state, data))
    return encode_results(results)


def encode_full(
    core: "CoreWorker", arguments: Any, dependencies: Sequence[bytes], peer: Any
) -> bytes:
    """The body of a full call for its receiver. With the lock held."""
    section = dependency_results(core, dependencies, peer)
    value = arguments
    table = core.objects.table_for([ref.binary() for ref in value.refs], peer)
    return b"".join((U32.pack(len(section)), section, value.full(table)))


def split_full(data: bytes) -> Tuple[List[Tuple[int, bytes]], bytes]:
    """(the dependencies' results, the full form). Raises FrameError."""
    (length,) = U32.unpack_from(data)
    if 4 + length > len(data):
        raise FrameError("the dependencies of a call are cut off")
    return decode_results(data, 4, 4 + length), data[4 + length :]


def decode_dependency(data: bytes) -> Tuple[bytes, bytes, int, List[bytes]]:
    """(id, owner's node, size, locations) of an object in an arena."""
    id, node, size, count = DEPENDENCY.unpack_from(data)
    start = DEPENDENCY.size
    return id, node, size, [data[start + 16 * i : start + 16 * i + 16] for i in range(count)]


__all__ = ["FULL", "ID_SIZE", "NONE", "Arguments", "encode", "encode_full", "split_full"]
