"""The connection to the agent of this node: requests, notes and events."""

from __future__ import annotations

import itertools
import json
import os
import socket
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Tuple

from iorun._core.connection import Connection
from iorun._core.frames import (
    EVENT,
    HEADER,
    NOTE,
    RELAY,
    REQUEST,
    RESPONSE,
    U32,
    FrameError,
    split_frames,
)
from iorun._core.loop import Loop, Waiter

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

Callback = Callable[[Dict[str, Any], bytes, Optional["HubError"]], None]


class HubError(RuntimeError):
    """The agent refused: `code` says why for programs, the text for people."""

    def __init__(self, code: str, message: str, remedy: str = "", detail: Any = None):
        super().__init__(f"{message} {remedy}".strip() + f" [{code}]")
        self.code = code
        self.message = message
        self.remedy = remedy
        self.detail = detail or {}

    @classmethod
    def of(cls, value: Dict[str, Any]) -> "HubError":
        """The error of an error answer."""
        return cls(
            str(value.get("code", "IOR-1104")),
            str(value.get("message", "the agent gave no reason")),
            str(value.get("remedy") or ""),
            value.get("detail"),
        )


class HubConnection:
    """Requests are numbered and may be answered in any order."""

    def __init__(self, core: "CoreWorker", loop: Loop, path: str):
        self.core = core
        self.loop = loop
        self.path = path
        self._numbers = itertools.count(1)
        self._open: Dict[int, Callback] = {}
        self._events: Dict[int, Callable[[Dict[str, Any], bytes], None]] = {}
        self.failure: Optional[HubError] = None
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            sock.connect(path)
        except OSError as error:
            sock.close()
            raise ConnectionError(
                f"The agent's socket {path} does not answer: {error}. Is the agent running? "
                "`iorun up` starts one."
            ) from error
        handlers: list = [None] * 256
        handlers[RESPONSE] = self._on_response
        handlers[EVENT] = self._on_event
        handlers[RELAY] = self._on_relay
        self.connection = Connection(loop, sock, handlers, self._closed)

    def on(self, op: int, handler: Callable[[Dict[str, Any], bytes], None]) -> None:
        """Takes the events of an operation; called with the lock held."""
        self._events[op] = handler

    # With the lock held

    def start(self, op: int, body: Dict[str, Any], done: Callback, blob: bytes = b"") -> int:
        """Sends a request; `done` is called, with the lock held, with its answer."""
        number = next(self._numbers)
        if self.failure is not None:
            self.core.loop.deferred.append((self._refuse, (done,)))
            return number
        self._open[number] = done
        self.connection.send_now(_message(REQUEST, op, number, body, blob))
        return number

    def _refuse(self, done: Callback) -> None:
        with self.loop.lock:
            done({}, b"", self.failure)

    def note(self, op: int, body: Dict[str, Any], blob: bytes = b"") -> None:
        """Says something that has no answer."""
        if self.failure is None:
            self.connection.send(_message(NOTE, op, 0, body, blob))

    # Without the lock

    def request(
        self,
        op: int,
        body: Dict[str, Any],
        blob: bytes = b"",
        timeout: Optional[float] = None,
        then: Optional[Callable[[Dict[str, Any]], None]] = None,
    ) -> Tuple[Dict[str, Any], bytes]:
        """Sends a request and waits. Raises HubError, or TimeoutError.

        `then` is called with the answer, with the lock held, before any later frame is taken.
        """
        waiter = Waiter(1)
        answers = []

        def done(answer: Dict[str, Any], blob: bytes, error: Optional[HubError]) -> None:
            failure: Optional[Exception] = error
            if error is None and then is not None:
                try:
                    then(answer)
                except Exception as problem:
                    # Whoever asked is told; the loop may be another thread's.
                    failure = problem
            answers.append((answer, blob, failure))
            waiter.count_down()

        with self.loop.lock:
            number = self.start(op, body, done, blob)
        if not self.loop.wait(waiter, timeout):
            with self.loop.lock:
                self._open.pop(number, None)
            raise TimeoutError(f"The agent has not answered within {timeout} s (operation {op}).")
        answer, blob, error = answers[0]
        if error is not None:
            raise error
        return answer, blob

    # Frames

    def _on_response(
        self, _: Any, _flags: int, aux: int, number: int, data: bytes, start: int, end: int
    ) -> None:
        body, blob = _parse(data, start, end)
        done = self._open.pop(number, None)
        if done is not None:
            done(body, blob, HubError.of(body) if aux else None)

    def _on_event(
        self, _: Any, _flags: int, aux: int, _number: int, data: bytes, start: int, end: int
    ) -> None:
        body, blob = _parse(data, start, end)
        handler = self._events.get(aux)
        if handler is not None:
            handler(body, blob)

    def _on_relay(
        self, _: Any, _flags: int, _aux: int, _number: int, data: bytes, start: int, end: int
    ) -> None:
        if end - start < 32:
            raise FrameError("a parcel without its source")
        peer = self.core.relayed_peer(data[start + 16 : start + 32], data[start : start + 16])
        handlers = self.core.peer_handlers
        for kind, flags, aux, number, body, stop in split_frames(data, start + 32, end):
            handler = handlers[kind]
            if handler is None:
                raise FrameError(f"a frame of the unknown kind {kind:#x} in a parcel")
            handler(peer, flags, aux, number, data, body, stop)

    def _closed(self, _: Connection, reason: str) -> None:
        self.failure = HubError(
            "IOR-1504", f"the connection to this node's agent ended {reason}".strip() + "."
        )
        waiting, self._open = self._open, {}
        for done in waiting.values():
            done({}, b"", self.failure)
        self.core.hub_lost(self.failure)

    def close(self) -> None:
        """Ends the connection."""
        self.connection.close()


def _message(kind: int, op: int, number: int, body: Dict[str, Any], blob: bytes) -> bytes:
    text = json.dumps(body, separators=(",", ":")).encode()
    return b"".join(
        (
            HEADER.pack(16 + len(text) + len(blob), kind, 0, op, number),
            U32.pack(len(text)),
            text,
            blob,
        )
    )


def _parse(data: bytes, start: int, end: int) -> Tuple[Dict[str, Any], bytes]:
    if end - start < 4:
        raise FrameError("a message without JSON")
    (length,) = U32.unpack_from(data, start)
    middle = start + 4 + length
    if middle > end:
        raise FrameError("a message's JSON is cut off")
    body = json.loads(data[start + 4 : middle])
    if not isinstance(body, dict):
        raise FrameError("a message's JSON is no object")
    return body, data[middle:end]


def greeting(role: str) -> Dict[str, Any]:
    """What every `hello` has."""
    from iorun._protocol import versions
    from iorun._version import __version__

    return {**versions(), "sdk": f"python/{__version__}", "role": role, "pid": os.getpid()}
