"""Values to bytes and back: pickle first, cloudpickle where it must be, big buffers apart.

References inside a value are not in the pickle: the pickle has indexes into a table that travels
beside it, so that whoever only passes the bytes on can count the references without unpickling.
"""

from __future__ import annotations

import copyreg
import io
import logging
import pickle
import struct
import sys
import threading
import types
from collections import ChainMap
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import cloudpickle

from iorun._core.frames import ID_SIZE, REF_SIZE, FrameError
from iorun.exceptions import OufOfBandObjectRefSerializationException

logger = logging.getLogger("iorun")

PROTOCOL = 5
#: Smaller buffers stay in the pickle: apart they would cost more than their copy.
_SMALL_BUFFER = 4096
_HEAD = struct.Struct("<IIQ")
_IN_TABLE = struct.Struct(f"{ID_SIZE}s16x")
_BUFFER = struct.Struct("<QQ")
_ALIGNMENT = 64
#: Code of functions and classes up to that travels in frames; larger code is an object, up to the
#: second number.
_FUNCTION_LIMIT = 4 << 20
_FUNCTION_MOST = 95 << 20
#: Errors travel in one frame.
_ERROR_LIMIT = 8 << 20
#: Types whose values hold no reference and need no second look.
SIMPLE = frozenset({int, str, bytes, float, bool, type(None), complex})

_active = threading.local()
#: type -> reducer, of this SDK and of `register_serializer`.
_own_reducers: Dict[type, Callable[[Any], Any]] = {}

dumps = pickle.dumps
loads = pickle.loads


def _reduce_array(array: Any) -> Any:
    """A NumPy array whose small buffer is read-only at the other end, as large ones are."""
    reduced = array.__reduce_ex__(PROTOCOL)
    parts = reduced[1]
    if array.nbytes < _SMALL_BUFFER and parts and type(parts[0]) is pickle.PickleBuffer:
        try:
            frozen = pickle.PickleBuffer(parts[0].raw().toreadonly())
        except BufferError:
            return reduced
        return (reduced[0], (frozen, *parts[1:]), *reduced[2:])
    return reduced


def _know_arrays() -> None:
    """Adds the reducer of arrays once somebody has imported NumPy: this package does not."""
    numpy = sys.modules.get("numpy")
    kind = getattr(numpy, "ndarray", None)
    if kind is not None:
        _own_reducers.setdefault(kind, _reduce_array)


def ref_at(index: int) -> Any:
    """Stands in pickles for the reference at an index of the table beside the pickle."""
    raise pickle.UnpicklingError("a reference outside of its table")


def reduce_ref(ref: Any) -> Any:
    """How a reference is pickled by `serialize`."""
    refs = _active.refs
    refs.append(ref)
    return ref_at, (len(refs) - 1,)


def add_reducer(cls: type, reducer: Callable[[Any], Any]) -> None:
    """Pickles values of exactly this class by this reducer (see `object.__reduce__`)."""
    _own_reducers[cls] = reducer


def remove_reducer(cls: type) -> None:
    """Takes an `add_reducer` back."""
    _own_reducers.pop(cls, None)


def _reduce_code(code: types.CodeType) -> Any:
    """A code object with the name of its file, which newer cloudpickles leave out.

    With it a traceback of a worker shows the line, as far as the file is there.
    """
    make, parts = cloudpickle.cloudpickle._code_reduce(code)
    return make, tuple(code.co_filename if part == "<dynamic-code>" else part for part in parts)


_code_reducers: Dict[type, Callable[[Any], Any]] = (
    {types.CodeType: _reduce_code} if hasattr(cloudpickle.cloudpickle, "_code_reduce") else {}
)


class _CloudPickler(cloudpickle.CloudPickler):
    dispatch_table = ChainMap(
        _own_reducers, _code_reducers, cloudpickle.CloudPickler.dispatch_table
    )


class _FunctionPickler(cloudpickle.CloudPickler):
    # References pickle themselves here, see `dump_function`.
    dispatch_table = ChainMap(_code_reducers, cloudpickle.CloudPickler.dispatch_table)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, buffers: Sequence[Any], at: Callable[[int], Any]):
        super().__init__(file, buffers=buffers)
        self._at = at

    def find_class(self, module: str, name: str) -> Any:
        if name == "ref_at" and module == __name__:
            return self._at
        return super().find_class(module, name)


class Serialized:
    """A value's bytes: the pickle, the buffers outside of it, the references beside it."""

    __slots__ = ("buffers", "data", "refs")

    def __init__(self, data: bytes, buffers: List[memoryview], refs: List[Any]):
        self.data = data
        self.buffers = buffers
        self.refs = refs

    @property
    def plain(self) -> bool:
        """Whether the pickle is all there is."""
        return not self.buffers and not self.refs

    def size(self) -> int:
        """How many bytes `pieces` covers."""
        size = _HEAD.size + len(self.refs) * REF_SIZE + len(self.buffers) * _BUFFER.size
        size += len(self.data)
        for buffer in self.buffers:
            size = _aligned(size) + buffer.nbytes
        return size

    def pieces(self, table: bytes) -> List[Tuple[int, Any]]:
        """(offset, bytes) of all that makes the full form; `table` is the references' wire form."""
        offset = _HEAD.size + len(table) + len(self.buffers) * _BUFFER.size
        placed: List[Tuple[int, Any]] = [(offset, self.data)]
        offset += len(self.data)
        places = []
        for buffer in self.buffers:
            offset = _aligned(offset)
            places.append(_BUFFER.pack(offset, buffer.nbytes))
            placed.append((offset, buffer))
            offset += buffer.nbytes
        head = _HEAD.pack(len(self.refs), len(self.buffers), len(self.data))
        return [(0, head + table + b"".join(places)), *placed]

    def full(self, table: bytes) -> bytes:
        """The full form in one piece."""
        out = []
        end = 0
        for offset, piece in self.pieces(table):
            if offset > end:
                out.append(bytes(offset - end))
            out.append(piece)
            end = offset + len(piece)
        return b"".join(out)


def _aligned(size: int) -> int:
    return (size + _ALIGNMENT - 1) // _ALIGNMENT * _ALIGNMENT


def serialize(value: Any) -> Serialized:
    """The bytes of any value. Raises TypeError that names what cannot be pickled."""
    if type(value) in SIMPLE:
        return Serialized(dumps(value, PROTOCOL), [], [])
    outer = getattr(_active, "refs", None)
    try:
        return _dump(value)
    finally:
        _active.refs = outer


def _dump(value: Any) -> Serialized:
    _know_arrays()
    buffers: List[memoryview] = []

    def keep_apart(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:
            return True
        if raw.nbytes < _SMALL_BUFFER:
            return True
        buffers.append(raw)
        return False

    _active.refs = refs = []
    out = io.BytesIO()
    pickler = pickle.Pickler(out, PROTOCOL, buffer_callback=keep_apart)
    pickler.dispatch_table = {**copyreg.dispatch_table, **_own_reducers}
    try:
        pickler.dump(value)
        data = out.getvalue()
        # What __main__ defines is not in the receiver's __main__: it must go by value.
        if b"__main__" not in data:
            return Serialized(data, buffers, refs)
    except (pickle.PicklingError, AttributeError, TypeError, RecursionError, ImportError):
        # cloudpickle can do more, and says better what it cannot.
        pass
    buffers.clear()
    _active.refs = refs = []
    out = io.BytesIO()
    try:
        _CloudPickler(out, PROTOCOL, buffer_callback=keep_apart).dump(value)
    except RecursionError as error:
        raise TypeError(
            f"Could not serialize {_short(value)}: it is nested too deeply, or contains itself "
            "through its own __reduce__."
        ) from error
    except Exception as error:
        raise TypeError(
            f"Could not serialize {_short(value)}:\n{_find_culprit(value)}{error}\n"
            "To see what in it cannot be pickled, call "
            "`util.inspect_serializability()` with it."
        ) from error
    return Serialized(out.getvalue(), buffers, refs)


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception as error:
        text = f"(its repr raises {type(error).__name__})"
    if len(text) > 200:
        text = text[:200] + "…"
    return f"the {type(value).__module__}.{type(value).__qualname__} {text}"


def _find_culprit(value: Any, path: str = "value", depth: int = 0) -> str:
    """A line that names the innermost member that cannot be pickled, as far as it can be seen."""
    if isinstance(value, dict):
        members = [(f"{path}[{key!r}]", member) for key, member in value.items()]
    elif isinstance(value, (list, tuple)):
        members = [(f"{path}[{index}]", member) for index, member in enumerate(value)]
    else:
        state = getattr(value, "__dict__", None)
        if not isinstance(state, dict) or isinstance(value, type):
            return ""
        members = [(f"{path}.{name}", member) for name, member in state.items()]
    for name, member in members[:1000]:
        if type(member) in SIMPLE:
            continue
        try:
            cloudpickle.dumps(member)
        except Exception:
            inner = _find_culprit(member, name, depth + 1) if depth < 8 else ""
            return inner or f"{name} (a {type(member).__qualname__}) cannot be pickled: "
    return ""


def ref_table(data: Any, start: int = 0) -> List[Tuple[bytes, bytes]]:
    """(object id, owner's node) of every reference in a full form. Raises FrameError."""
    end = len(data)
    if end - start < _HEAD.size:
        raise FrameError("a value's head is cut off")
    count, _, _ = _HEAD.unpack_from(data, start)
    start += _HEAD.size
    if count * REF_SIZE > end - start:
        raise FrameError(f"a table of {count} references is not in its value")
    return decode_refs(data, start, count)


def ref_ids(view: memoryview) -> List[bytes]:
    """The object ids of the references in a full form. Raises FrameError."""
    if len(view) < _HEAD.size:
        raise FrameError("a value's head is cut off")
    count = _HEAD.unpack_from(view, 0)[0]
    if not count:
        return []
    end = _HEAD.size + count * REF_SIZE
    if end > len(view):
        raise FrameError(f"a table of {count} references is not in its value")
    return [id for (id,) in _IN_TABLE.iter_unpack(view[_HEAD.size : end])]


def decode_refs(data: Any, start: int, count: int) -> List[Tuple[bytes, bytes]]:
    """(object id, owner's node) of `count` references on the wire."""
    return [
        (bytes(data[at : at + ID_SIZE]), bytes(data[at + ID_SIZE : at + REF_SIZE]))
        for at in range(start, start + count * REF_SIZE, REF_SIZE)
    ]


def deserialize_full(view: memoryview, refs: Optional[Sequence[Any]]) -> Tuple[Any, bool]:
    """The value of a full form, and whether it may share memory with `view`.

    `refs` are this process's references for the table, in its order.
    """
    count, buffer_count, length = _HEAD.unpack_from(view, 0)
    start = _HEAD.size + count * REF_SIZE
    pickle_start = start + buffer_count * _BUFFER.size
    if pickle_start + length > len(view):
        raise FrameError("a value's pickle is cut off")
    buffers = []
    for index in range(buffer_count):
        offset, size = _BUFFER.unpack_from(view, start + index * _BUFFER.size)
        if offset + size > len(view):
            raise FrameError("a value's buffer is cut off")
        buffers.append(view[offset : offset + size])
    data = view[pickle_start : pickle_start + length]
    if count:
        if refs is None or len(refs) != count:
            raise FrameError("a value's references are missing")
        value = _Unpickler(io.BytesIO(data), buffers, refs.__getitem__).load()
    else:
        value = pickle.loads(data, buffers=buffers)
    return value, bool(buffers)


def dump_function(function: Any) -> bytes:
    """A function or class by value where it must be; references in it are pinned for ever."""
    try:
        out = io.BytesIO()
        _FunctionPickler(out, PROTOCOL).dump(function)
        code = out.getvalue()
    except OufOfBandObjectRefSerializationException:
        raise
    except Exception as error:
        name = getattr(function, "__qualname__", repr(function))
        raise TypeError(
            f"Could not serialize the {_kind(function)} {name}: {error}\nIt, or something that "
            "it uses from the outside (a global, a closure's variable, a default), cannot be pickled. "
            "Create such things "
            "inside the function, or pass them as arguments. "
            "`util.inspect_serializability()` finds them."
        ) from error
    if len(code) > _FUNCTION_LIMIT:
        name = getattr(function, "__name__", repr(function))
        advice = (
            "It probably captures a large array or another big object from outside. Use `put()` on "
            "that, and pass the reference as an argument."
        )
        size = f"{len(code) >> 20} MiB"
        if len(code) > _FUNCTION_MOST:
            raise ValueError(
                f"The {_kind(function)} {name} is too large ({size} of at most "
                f"{_FUNCTION_MOST >> 20}). {advice}"
            )
        logger.warning("The %s %s is large (%s). %s", _kind(function), name, size, advice)
        return _dump_large(code)
    return code


def _dump_large(code: bytes) -> bytes:
    """Code that no frame should carry: an object, and where it is."""
    from iorun._core import global_state

    out = io.BytesIO()
    _FunctionPickler(out, PROTOCOL).dump(_LargeCode(global_state.require().put(code)))
    return out.getvalue()


class _LargeCode:
    """Becomes the function itself where it is unpickled."""

    def __init__(self, ref: Any):
        self.ref = ref

    def __reduce__(self) -> Tuple[Any, ...]:
        return _load_large, self.ref._pinned()


def _load_large(id: bytes, owner_node: bytes) -> Any:
    from iorun._core import global_state
    from iorun.object_ref import foreign_ref

    return loads(global_state.require().get((foreign_ref(id, owner_node),))[0])


def _kind(function: Any) -> str:
    return "actor" if isinstance(function, type) else "remote function"


def dump_error(error: BaseException) -> bytes:
    """An error's bytes; where it does not pickle, those of one with its text."""
    try:
        data = cloudpickle.dumps(error, PROTOCOL)
        if len(data) > _ERROR_LIMIT:
            raise ValueError(f"it has {len(data)} bytes, the limit is {_ERROR_LIMIT}")
        return data
    except Exception as reason:
        from iorun.exceptions import RaySystemError

        text = f"{type(error).__qualname__}: {error}"[:100_000]
        text += f" (the error itself cannot be sent: {reason})"
        return pickle.dumps(RaySystemError(text), PROTOCOL)
