"""A stream of frames over a socket: read in place, written in batches."""

from __future__ import annotations

import logging
import pickle
import select
import socket
import struct
import time
from collections import deque
from typing import Any, Callable, Deque, List, Optional, Sequence, Union

from iorun._core.frames import FRAME_LIMIT, GREET, HEADER, FrameError
from iorun._core.loop import Loop

logger = logging.getLogger("iorun")

_READ = 1 << 17
#: So much is written at once; less waits a moment for company.
_BATCH = 1 << 16
#: So much of what waits is put together for one attempt to write.
_AT_ONCE = 1 << 19
#: After so long a silence a frame is written at once.
_QUIET = 0.0002
#: More than that may not wait for one receiver: whoever adds to it polls until there is room.
OUT_LIMIT = 64 << 20

#: What bytes from outside can raise while they are taken apart.
MALFORMED = (
    FrameError,
    struct.error,
    # What a pickle that is none can raise, beside the rest.
    pickle.UnpicklingError,
    AttributeError,
    ImportError,
    OverflowError,
    RecursionError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    EOFError,
)

#: So many reads are taken at once from a process that has ended.
_DRAIN_MOST = 64

Handler = Callable[[Any, int, int, int, bytes, int, int], None]
_unpack = HEADER.unpack_from


class Connection:
    """One socket. `handlers[kind](peer, flags, aux, number, data, start, end)` take its frames."""

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        handlers: Sequence[Optional[Handler]],
        on_close: Callable[["Connection", str], None],
    ):
        self.loop = loop
        self.sock = sock
        sock.setblocking(False)
        self.fd = sock.fileno()
        self.handlers = handlers
        self.on_close = on_close
        #: Who is at the other end; None until it has said so.
        self.peer: Any = None
        self.closed = False
        self.out: Deque[Union[bytes, memoryview]] = deque()
        self.out_size = 0
        self._blocked = False
        self._last = 0.0
        self._partial: List[bytes] = []
        self._have = 0
        self._need = 0
        loop.add(self.fd, self._on_event)

    # Writing, with the loop's lock held

    def send(self, data: bytes) -> None:
        """Writes whole frames: now where it was quiet, else soon, together with what follows."""
        now = time.perf_counter()
        if not self.out:
            if now - self._last > _QUIET:
                self._last = now
                self._write(data)
                return
            self.out.append(data)
            self.out_size = len(data)
            self.loop.mark_dirty(self)
        else:
            self.out.append(data)
            self.out_size += len(data)
            if self.out_size >= _BATCH:
                if not self._blocked:
                    self.flush()
                elif self.out_size > OUT_LIMIT:
                    self.loop.crowded = self
        self._last = now

    def send_now(self, data: bytes) -> None:
        """Writes whole frames, and all that waits before them."""
        if self.out:
            self.out.append(data)
            self.out_size += len(data)
            self.flush()
        else:
            self._write(data)

    def flush(self) -> None:
        """Writes all that waits, as far as there is room."""
        if self._blocked or not self.out:
            return
        data = self.out[0] if len(self.out) == 1 else b"".join(self.out)
        self.out.clear()
        self.out_size = 0
        self._write(data)

    def _write(self, data: Union[bytes, memoryview]) -> None:
        if self.closed:
            return
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._fail(str(error))
            return
        if sent < len(data):
            # A view: what is left of many megabytes is not copied at each attempt.
            self.out.appendleft(memoryview(data)[sent:])
            self.out_size += len(data) - sent
            if not self._blocked:
                self._blocked = True
                self.loop.watch_writable(self.fd, True)

    def _writable(self) -> None:
        with self.loop.lock:
            while self.out and not self.closed:
                # Some of it at a time, for the same reason.
                some = [self.out.popleft()]
                size = len(some[0])
                while self.out and size < _AT_ONCE:
                    size += len(self.out[0])
                    some.append(self.out.popleft())
                self.out_size -= size
                before = self.out_size
                self._write(some[0] if len(some) == 1 else b"".join(some))
                if self.out_size > before:
                    return
            if not self.closed and self._blocked:
                self._blocked = False
                self.loop.watch_writable(self.fd, False)

    # Reading

    def _on_event(self, mask: int) -> None:
        if mask & select.EPOLLOUT:
            self._writable()
        if mask & ~select.EPOLLOUT and not self.closed:
            self._read()

    def drain(self) -> None:
        """Takes what has come and was not read: word that the sender has ended can be faster.

        Whoever handles a frame or a timer may call it; the lock may be held.
        """
        for _ in range(_DRAIN_MOST):
            if self.closed or not self._read():
                return

    def _read(self) -> bool:
        """Takes what one read gives; whether there may be more."""
        try:
            data = self.sock.recv(_READ)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            with self.loop.lock:
                self._fail(str(error))
            return False
        if not data:
            with self.loop.lock:
                self._fail("")
            return False
        try:
            self._feed(data)
        except MALFORMED as error:
            logger.warning("A connection was closed: a malformed frame came over it: %s", error)
            logger.debug("where", exc_info=True)
            with self.loop.lock:
                self._fail(f"malformed frame: {error}")
        return True

    def _feed(self, data: bytes) -> None:
        if self._partial:
            self._partial.append(data)
            self._have += len(data)
            if self._have < self._need:
                return
            data = b"".join(self._partial)
            self._partial = []
        start = 0
        size = len(data)
        need = 16
        handlers = self.handlers
        with self.loop.lock:
            while size - start >= 16:
                length, kind, flags, aux, number = _unpack(data, start)
                stop = start + 4 + length
                if stop > size:
                    if length > FRAME_LIMIT:
                        raise FrameError(f"a frame of {length} bytes; the limit is {FRAME_LIMIT}")
                    need = 4 + length
                    break
                if length < 12:
                    raise FrameError(f"a frame that is {length} bytes long")
                handler = handlers[kind]
                if handler is None:
                    raise FrameError(f"a frame of the unknown kind {kind:#x}")
                try:
                    handler(self.peer or self, flags, aux, number, data, start + 16, stop)
                except KeyboardInterrupt:
                    # The user's: no frame may be lost by it. This one is looked at again.
                    self._keep(data, start, 16)
                    raise
                if self.closed:
                    return
                if kind == GREET:
                    # Now it is known who speaks, more is heard.
                    handlers = self.handlers
                start = stop
        if start < size:
            self._keep(data, start, need)

    def _keep(self, data: bytes, start: int, need: int) -> None:
        self._partial = [data[start:] if start else data]
        self._have = len(data) - start
        self._need = need

    def _fail(self, reason: str) -> None:
        if not self.closed:
            self.close()
            self.on_close(self, reason)

    def close(self) -> None:
        """Closes the socket; `on_close` is not called."""
        if not self.closed:
            self.closed = True
            self.loop.remove(self.fd)
            self.sock.close()
            self.out.clear()
            self.out_size = 0
