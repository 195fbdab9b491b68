"""The zygote's connection to its hub: frames in, notes out, with a bound on what waits."""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any, Dict, List, Tuple

from iorun import _protocol
from iorun._core.frames import EVENT, FRAME_LIMIT, HEADER, NOTE, REQUEST, RESPONSE, U32, FrameError

HELLO = 1
FORK = 70
FORKED = 71
EXITED = 72
OUTPUT = 73
PROGRESS = 74
ENVIRONMENT_FAILED = 75
STOP = 76
CONDEMNED = 77

#: While more than this waits for the hub, nobody's output is read.
OUT_HIGH = 512 << 10


class HubGone(Exception):
    """The connection has ended: so does the zygote."""


class HubLink:
    """A socket that never blocks, after the greeting."""

    def __init__(self, path: str):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(10)
        try:
            self.socket.connect(path)
        except OSError as error:
            raise HubGone(f"the node's agent cannot be reached at {path}: {error}") from error
        self._in = bytearray()
        self._out = bytearray()

    def greet(self, hello: Dict[str, Any], patience: float = 30) -> Dict[str, Any]:
        """Says hello and returns the answer. Raises HubGone where the hub refuses."""
        self.socket.settimeout(patience)
        try:
            self.socket.sendall(_frame(REQUEST, HELLO, 1, hello))
            deadline = time.monotonic() + patience
            while True:
                found = self._next()
                if found is not None and found[0] == RESPONSE:
                    break
                if found is not None:
                    continue
                data = self.socket.recv(1 << 16)
                if not data or time.monotonic() > deadline:
                    raise HubGone("the node's agent did not answer hello")
                self._in += data
        except OSError as error:
            raise HubGone(f"the node's agent did not answer hello: {error}") from error
        self.socket.setblocking(False)
        _, aux, answer = found
        if aux:
            raise HubGone(f"the node's agent refused: {answer.get('message', answer)}")
        if _protocol.objection(answer):
            raise HubGone(_protocol.objection(answer))
        return answer

    def events(self) -> List[Tuple[int, Dict[str, Any]]]:
        """All events that are here: operation and JSON. Raises HubGone at the end of the stream."""
        while True:
            try:
                data = self.socket.recv(1 << 16)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                raise HubGone(str(error)) from error
            if not data:
                raise HubGone("the node's agent closed the connection")
            self._in += data
        found = []
        while True:
            frame = self._next()
            if frame is None:
                return found
            if frame[0] == EVENT:
                found.append((frame[1], frame[2]))

    def note(self, operation: int, content: Dict[str, Any]) -> None:
        """Sends a note, as soon as there is room."""
        self._out += _frame(NOTE, operation, 0, content)
        self.flush()

    def flush(self) -> None:
        """Writes what waits, as far as there is room."""
        while self._out:
            try:
                sent = self.socket.send(self._out)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                raise HubGone(str(error)) from error
            del self._out[:sent]

    def flush_for(self, seconds: float) -> None:
        """Writes what waits and gives up after a time: for last words."""
        self.socket.settimeout(seconds)
        try:
            self.socket.sendall(self._out)
        except OSError as error:
            raise HubGone(str(error)) from error
        self._out.clear()

    @property
    def waiting(self) -> int:
        """Bytes that wait for the hub."""
        return len(self._out)

    def _next(self) -> Any:
        if len(self._in) < HEADER.size:
            return None
        length, kind, _, aux, _ = HEADER.unpack_from(self._in)
        if not 12 <= length <= FRAME_LIMIT:
            raise HubGone(f"the node's agent sent a frame of {length} bytes")
        if len(self._in) < 4 + length:
            return None
        body = bytes(self._in[HEADER.size : 4 + length])
        del self._in[: 4 + length]
        try:
            (size,) = U32.unpack_from(body)
            if size > len(body) - 4:
                raise FrameError("its JSON is longer than the frame")
            content = json.loads(body[4 : 4 + size]) if size else {}
            if not isinstance(content, dict):
                raise FrameError("its JSON is no object")
        except (FrameError, struct.error, ValueError) as error:
            raise HubGone(f"the node's agent sent a malformed frame: {error}") from error
        return kind, aux, content


def _frame(kind: int, operation: int, number: int, content: Dict[str, Any]) -> bytes:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return HEADER.pack(16 + len(text), kind, 0, operation, number) + U32.pack(len(text)) + text
