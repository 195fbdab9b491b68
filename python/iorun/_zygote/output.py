"""What a worker prints: pipes read in pieces, cut into lines, with a bound on what is kept."""

from __future__ import annotations

import os
from collections import deque
from typing import Deque, List, NamedTuple, Tuple

from iorun._zygote.stream import MARK

_MARK = MARK.encode()

#: The most of a pipe that is read, and passed on, at once; a longer line comes in pieces.
PIECE = 64 << 10
LAST_LINES = 20
#: The most of a line that is kept for the account of a worker's end.
LAST_LINE = 2 << 10


class Output(NamedTuple):
    """Lines of one task or actor."""

    #: Whose; empty where it has not said so.
    name: str
    lines: List[str]


class LastLines:
    """The last lines of both of a worker's streams."""

    def __init__(self) -> None:
        self._lines: Deque[str] = deque(maxlen=LAST_LINES)

    def add(self, lines: List[str]) -> None:
        for line in lines[-LAST_LINES:]:
            if line.strip():
                self._lines.append(line[:LAST_LINE])

    def list(self) -> List[str]:
        return list(self._lines)


class OutputPipe:
    """The reading end of one stream of one worker."""

    def __init__(self, fd: int, stream: str, last: LastLines):
        self.fd = fd
        self.stream = stream
        self._last = last
        self._rest = b""
        self._name = ""
        #: Whether the last read found nothing.
        self.is_empty = False
        os.set_blocking(fd, False)

    def read(self) -> Tuple[List[Output], bool]:
        """Whole lines that are here, and whether the stream is over."""
        try:
            self.is_empty = False
            data = os.read(self.fd, PIECE)
        except (BlockingIOError, InterruptedError):
            self.is_empty = True
            return [], False
        except OSError:
            data = b""
        if not data:
            rest, self._rest = self._rest, b""
            return self._decoded(rest), True
        cut = data.rfind(b"\n")
        if cut >= 0:
            whole = self._rest + data[:cut]
            self._rest = data[cut + 1 :]
            return self._decoded(whole, empty_too=True), False
        self._rest += data
        if len(self._rest) >= PIECE:
            rest, self._rest = self._rest, b""
            return self._decoded(rest), False
        return [], False

    @property
    def has_rest(self) -> bool:
        """Whether there is the beginning of a line whose end has not come."""
        return bool(self._rest)

    def take_rest(self) -> List[Output]:
        """The beginning of a line as a line of its own: its end may come late, or never."""
        rest, self._rest = self._rest, b""
        return self._decoded(rest)

    def _decoded(self, data: bytes, empty_too: bool = False) -> List[Output]:
        if not data and not empty_too:
            return []
        lines = data.decode("utf-8", "replace").split("\n")
        outputs: List[Output] = []
        lines = [line[:-1] if line.endswith("\r") else line for line in lines]
        if _MARK not in data:
            outputs.append(Output(self._name, lines))
        else:
            current: List[str] = []
            for line in lines:
                if line.startswith(MARK):
                    if current:
                        outputs.append(Output(self._name, current))
                        current = []
                    self._name = line[len(MARK) :]
                else:
                    current.append(line)
            if current:
                outputs.append(Output(self._name, current))
        for output in outputs:
            self._last.add(output.lines)
        return outputs

    def close(self) -> None:
        os.close(self.fd)
