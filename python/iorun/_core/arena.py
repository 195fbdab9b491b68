"""This node's shared memory, as one process sees it: mapped once, pinned object by object."""

from __future__ import annotations

import ctypes
import logging
import mmap
import os
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple

from iorun._core import ops
from iorun._core.hub import HubError

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

logger = logging.getLogger("iorun")

_PAGE = 4096
_POPULATE_WRITE = 23
#: Above that the pages are mapped in one go before they are written.
_POPULATE_FROM = 1 << 20
#: Above that two threads copy.
_SHARE_FROM = 32 << 20


class Arena:
    """The shared memory of the job on this node."""

    def __init__(self, core: "CoreWorker", path: str, size: int):
        self.core = core
        self.size = size
        self._map: Optional[mmap.mmap] = None
        self._path = path
        self._address = 0
        #: Objects that are mapped here: id -> (weak reference to the array that pins it, size).
        self._mapped: Dict[bytes, Tuple[Any, int]] = {}
        #: Ids whose last view was deleted; `__del__` may run anywhere, so they are told later.
        self._unpinned: deque = deque()
        self._populated: List[Tuple[int, int]] = []

    def _open(self) -> mmap.mmap:
        if self._map is None:
            fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            try:
                self._map = mmap.mmap(fd, self.size)
            finally:
                os.close(fd)
            anchor = ctypes.c_char.from_buffer(self._map)
            self._address = ctypes.addressof(anchor)
        return self._map

    # Writing

    def write(
        self, id: bytes, size: int, pieces: List[Tuple[int, Any]], owner: Tuple[bytes, bytes]
    ) -> None:
        """Puts an object's bytes into the arena, for all to see. Raises ObjectStoreFullError."""
        from iorun.exceptions import ObjectStoreFullError

        try:
            answer, _ = self.core.request(ops.ALLOC, {"object": id.hex(), "size": size})
        except HubError as error:
            if error.code == ops.WRONG_STATE:
                # A copy is here already: a task that ran again makes what was pulled before.
                return
            if error.code in (ops.STORE_FULL, ops.TOO_LARGE):
                raise ObjectStoreFullError(
                    f"An object of {size} bytes has no room: {error}"
                ) from error
            raise
        offset = answer["offset"]
        if not 0 <= offset <= self.size - size:
            raise HubError(ops.MALFORMED, f"the agent gave room at {offset} of {self.size}")
        try:
            self._copy(offset, size, pieces)
        except BaseException:
            self.core.note(ops.ABORT, {"object": id.hex()})
            raise
        node, worker = owner
        self.core.note(
            ops.SEAL,
            {
                "object": id.hex(),
                "size": size,
                "owner": {"node": node.hex(), "worker": worker.hex()},
            },
        )
        self.core.note(ops.UNPIN, {"objects": [id.hex()]})

    def _copy(self, offset: int, size: int, pieces: List[Tuple[int, Any]]) -> None:
        area = self._open()
        if size >= _POPULATE_FROM:
            self._populate(area, offset, size)
        view = memoryview(area)
        for start, piece in pieces:
            length = len(piece) if isinstance(piece, bytes) else piece.nbytes
            at = offset + start
            if length >= _SHARE_FROM:
                self._copy_shared(at, piece, length)
            else:
                view[at : at + length] = piece

    def _copy_shared(self, at: int, piece: Any, length: int) -> None:
        """Copies a big piece with two threads; memmove runs without the interpreter's lock."""
        view = memoryview(piece).cast("B") if not isinstance(piece, bytes) else memoryview(piece)
        address = _address_of(view)
        if address is None:
            memoryview(self._open())[at : at + length] = view
            return
        half = length // 2 // _PAGE * _PAGE
        target = self._address + at
        helper = threading.Thread(
            target=ctypes.memmove, args=(target + half, address + half, length - half)
        )
        helper.start()
        ctypes.memmove(target, address, half)
        helper.join()

    def _populate(self, area: mmap.mmap, offset: int, size: int) -> None:
        start = offset // _PAGE * _PAGE
        end = offset + size
        for known_start, known_end in self._populated:
            if known_start <= start and end <= known_end:
                return
        try:
            area.madvise(_POPULATE_WRITE, start, end - start)
        except (OSError, ValueError) as error:
            # An old kernel: the pages are mapped one by one, more slowly.
            logger.debug("madvise(MADV_POPULATE_WRITE): %s", error)
            return
        self._populated = [(a, b) for a, b in self._populated if b < start or a > end] + [
            (
                min([start] + [a for a, b in self._populated if not (b < start or a > end)]),
                max([end] + [b for a, b in self._populated if not (b < start or a > end)]),
            )
        ]

    # Reading

    def mapped(self, id: bytes) -> Optional[memoryview]:
        """The bytes of an object that this process has pinned already."""
        known = self._mapped.get(id)
        if known is None:
            return None
        array = known[0]()
        if array is None:
            return None
        return memoryview(array).cast("B").toreadonly()

    def pin_later(
        self,
        id: bytes,
        locations: List[bytes],
        size: int,
        done: Callable[[Optional[memoryview], Optional[HubError]], None],
    ) -> None:
        """Brings an object here and holds it while views of it live. With the lock held."""

        def answered(answer: Any, _blob: bytes, error: Optional[HubError]) -> None:
            if error is not None:
                done(None, error)
                return
            offset, length = answer["offset"], answer["size"]
            if not 0 <= offset <= self.size - length:
                done(None, HubError(ops.MALFORMED, f"an object at {offset} of {self.size}"))
                return
            try:
                area = self._open()
            except OSError as problem:
                done(None, HubError(ops.OBJECT_LOST, f"the shared memory is gone: {problem}"))
                return
            array = (ctypes.c_char * length).from_buffer(area, offset)
            weakref.finalize(array, self._unpinned.append, id).atexit = False
            self._mapped[id] = (weakref.ref(array), length)
            done(memoryview(array).cast("B").toreadonly(), None)

        self.core.hub.start(
            ops.PIN,
            {"object": id.hex(), "locations": [node.hex() for node in locations], "size": size},
            answered,
        )

    def drain(self) -> None:
        """Tells the hub of pins that are not needed any more."""
        if not self._unpinned:
            return
        ids = []
        while self._unpinned:
            id = self._unpinned.popleft()
            ids.append(id.hex())
            known = self._mapped.get(id)
            if known is not None and known[0]() is None:
                del self._mapped[id]
        for start in range(0, len(ids), 10_000):
            self.core.note(ops.UNPIN, {"objects": ids[start : start + 10_000]})

    def forget(self, id: bytes) -> None:
        """A borrowed object is not referenced here any more; live views keep their pin."""

    def free(self, id: bytes, locations: List[bytes]) -> None:
        """No reference is left anywhere: the owner says so."""
        self.core.note(
            ops.FREE,
            {"objects": [{"object": id.hex(), "locations": [node.hex() for node in locations]}]},
        )


def _address_of(view: memoryview) -> Optional[int]:
    """Where a contiguous buffer's bytes are; None where that cannot be told without a copy."""
    try:
        import numpy
    except ImportError:
        if view.readonly:
            return None
        return ctypes.addressof(ctypes.c_char.from_buffer(view))
    return int(numpy.frombuffer(view, dtype=numpy.uint8).ctypes.data)
