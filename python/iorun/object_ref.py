"""References to objects: futures of what tasks return, and names of what was put."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
from collections import deque
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Generator, Generic, Tuple, TypeVar

from iorun._core import serialization
from iorun.exceptions import OufOfBandObjectRefSerializationException

if TYPE_CHECKING:
    from iorun._core.streams import ObjectRefGenerator

__all__ = ["ObjectRef", "ObjectRefGenerator"]

T = TypeVar("T")

#: Ids of references that Python has deleted. `__del__` may run at any moment, with any lock held:
#: it only notes the id here; the core takes it from here when it holds its own lock.
dropped: deque = deque()

_NIL = b"\xff" * 28


class ObjectRef(Generic[T]):
    """Names an object. `get` waits for it and brings its value; `await` does so in coroutines."""

    # An id is 28 bytes: the owner's worker id, a counter, an index.
    __slots__ = ("__weakref__", "_id")

    def __init__(self, id: bytes, _counted: bool = False):
        # The core makes references, and counts them first. Programs may make one of `binary()`.
        if not _counted:
            self._id = _NIL
            _adopt(id)
        self._id = id

    def __del__(self, _drop: Callable[[bytes], None] = dropped.append) -> None:
        _drop(self._id)

    def binary(self) -> bytes:
        """The id's bytes."""
        return self._id

    def hex(self) -> str:
        """The id as hexadecimal text."""
        return self._id.hex()

    def is_nil(self) -> bool:
        """Whether this is `nil()`."""
        return self._id == _NIL

    @classmethod
    def nil(cls) -> "ObjectRef":
        """The reference to nothing."""
        return cls(_NIL)

    @classmethod
    def from_random(cls) -> "ObjectRef":
        """A reference to no object."""
        return cls(os.urandom(28))

    @classmethod
    def from_binary(cls, id: bytes) -> "ObjectRef":
        """The reference of this id."""
        return cls(id)

    @classmethod
    def from_hex(cls, text: str) -> "ObjectRef":
        """The reference of this id, as `hex()` gives it."""
        return cls(bytes.fromhex(text))

    @classmethod
    def size(cls) -> int:
        """How many bytes an id has."""
        return 28

    def task_id(self) -> Any:
        """The id of the task that makes the object."""
        from iorun.ids import TaskID

        return TaskID(self._id[:24])

    def job_id(self) -> Any:
        """The id of the job that this process belongs to."""
        from iorun._core import global_state
        from iorun.ids import JobID

        core = global_state.worker()
        return JobID(core.job_id.encode()) if core else JobID.nil()

    def owner_address(self) -> str:
        """The owner's worker id as hexadecimal text."""
        return self._id[:16].hex()

    def call_site(self) -> str:
        """Where the reference was made: not recorded."""
        return ""

    def future(self) -> "concurrent.futures.Future[T]":
        """A future of the value."""
        from iorun._core import global_state

        future: concurrent.futures.Future = concurrent.futures.Future()
        # Holds this reference for as long as somebody waits for it.
        future.object_ref = self  # type: ignore[attr-defined]

        def done(value: Any, error: Any) -> None:
            if not future.set_running_or_notify_cancel():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(value)

        global_state.require().get_later(self, done)
        return future

    def _on_completed(self, py_callback: Callable[[Any], None]) -> None:
        """Calls back, in a thread of the runtime's, with the value or the error."""
        from iorun._core import global_state

        def done(value: Any, error: Any, _ref: "ObjectRef" = self) -> None:
            py_callback(value if error is None else error)

        global_state.require().get_later(self, done)

    def as_future(self, _internal: bool = False) -> "asyncio.Future[T]":
        """An asyncio future of the value, of the running loop."""
        from iorun._core import global_state

        loop = asyncio.get_event_loop()
        future = loop.create_future()
        future.object_ref = self  # type: ignore[attr-defined]
        global_state.require().get_in_loop(self, loop, future)
        return future

    def __await__(self) -> Generator[Any, None, T]:
        return self.as_future().__await__()

    def __eq__(self, other: object) -> bool:
        return type(other) is ObjectRef and self._id == other._id

    def __ne__(self, other: object) -> bool:
        return type(other) is not ObjectRef or self._id != other._id

    def __hash__(self) -> int:
        return hash(self._id)

    def __repr__(self) -> str:
        return f"ObjectRef({self._id.hex()})"

    def __reduce__(self) -> tuple:
        # Pickled by the user's own means: nobody can tell for how long the bytes are kept, so the
        # object is kept for as long as its owner lives.
        if os.environ.get("RAY_allow_out_of_band_object_ref_serialization", "1") == "0":
            raise OufOfBandObjectRefSerializationException(
                f"It is not allowed to serialize {self!r}: it is pickled by other means than the "
                "SDK's, as in a function's closure. Pass it as an argument."
            )
        return foreign_ref, self._pinned()

    def _pinned(self) -> Tuple[bytes, bytes]:
        """What `foreign_ref` makes it of again, anywhere; the object is kept for ever."""
        from iorun._core import global_state

        return self._id, global_state.require().objects.pin_for_ever(self._id)


Awaitable.register(ObjectRef)


def _adopt(id: bytes) -> None:
    """Counts a reference that the program has made of its bytes. Raises what is wrong with them."""
    if not isinstance(id, bytes):
        raise TypeError(f"The id of an ObjectRef is bytes, not {type(id).__name__}.")
    if len(id) != 28:
        raise ValueError(f"An ObjectRef's id needs to have length 28, got {len(id)}.")
    from iorun._core import global_state

    core = global_state.worker()
    if core is not None:
        core.objects.hold(id)


def foreign_ref(id: bytes, owner_node: bytes) -> ObjectRef:
    """The reference in a pickle that the user made himself."""
    from iorun._core import global_state

    return global_state.require().objects.adopt(id, owner_node)


serialization.add_reducer(ObjectRef, serialization.reduce_ref)


def __getattr__(name: str) -> Any:
    # Its module needs this one.
    if name == "ObjectRefGenerator":
        from iorun._core.streams import ObjectRefGenerator

        return ObjectRefGenerator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
