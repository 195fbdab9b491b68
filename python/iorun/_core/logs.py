"""Prints, in the driver, what the job's workers print: as Ray does, with repetitions counted."""

from __future__ import annotations

import os
import re
import sys
import time
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Optional, Set, TextIO, Tuple

__all__ = ["LogPrinter", "RecentOutput", "Repetitions"]

_COLOUR = "\x1b[36m"
_PLAIN = "\x1b[0m"
_NUMBERS = re.compile(r"0x[0-9a-fA-F]+|\d+")
_ADVICE = "lines are counted for 5 s; set RAY_DEDUP_LOGS=0 to see all of them"
#: So many different lines are remembered at most.
_MOST = 1000


class _Seen:
    """A line that was printed, and those like it of other processes that were not."""

    __slots__ = ("count", "last", "since", "sources")

    def __init__(self, since: float, source: Tuple[str, Any]):
        self.since = since
        self.sources: Set[Tuple[str, Any]] = {source}
        self.count = 0
        self.last: Tuple[str, str] = ("", "")


class Repetitions:
    """Finds lines that several processes print, but for numbers in them, within some seconds.

    The first is printed at once; of the others one, later, with their number. A process that
    repeats itself is left alone.
    """

    def __init__(self, window: float, clock: Callable[[], float] = time.monotonic):
        self.window = window
        self._clock = clock
        self._seen: Dict[Tuple[str, str], _Seen] = {}
        self._advised = False

    def hides(self, stream: str, source: Tuple[str, Any], prefix: str, line: str) -> bool:
        """Whether this line is counted instead of printed."""
        key = (stream, _NUMBERS.sub("", line).strip())
        if not key[1]:
            return False
        seen = self._seen.get(key)
        if seen is None:
            if len(self._seen) < _MOST:
                self._seen[key] = _Seen(self._clock(), source)
            return False
        seen.sources.add(source)
        if len(seen.sources) == 1:
            return False
        seen.count += 1
        seen.last = (prefix, line)
        return True

    def due(self, everything: bool = False) -> List[Tuple[str, str]]:
        """(stream, line) of what was counted for long enough."""
        now = self._clock()
        lines = []
        for key, seen in list(self._seen.items()):
            if not everything and now - seen.since < self.window:
                continue
            del self._seen[key]
            if not seen.count:
                continue
            prefix, line = seen.last
            note = f" [repeated {seen.count}x across cluster]" if seen.count > 1 else ""
            if note and not self._advised:
                self._advised = True
                note = f"{note} ({_ADVICE})"
            lines.append((key[0], f"{prefix} {line}{note}"))
        return lines

    def __bool__(self) -> bool:
        return bool(self._seen)


class LogPrinter:
    """Prints lines of workers behind their task's or actor's name and their process id.

    Lines of other nodes say the node's address, too. Runs in whatever thread polls, one at a time.
    """

    def __init__(self, own_node: str, address_of: Callable[[str], Optional[str]]):
        self._own_node = own_node
        self._address_of = address_of
        window = float(os.environ.get("RAY_DEDUP_LOGS_AGG_WINDOW_S", "5"))
        wanted = os.environ.get("RAY_DEDUP_LOGS", "1") not in ("0", "false", "False")
        self.repetitions = Repetitions(window) if wanted else None

    def print(self, body: Dict[str, Any]) -> None:
        """The lines of one worker."""
        where = "err" if body.get("stream") == "err" else "out"
        prefix = self._prefix(body, where)
        source = (str(body.get("node") or ""), body.get("pid"))
        lines = []
        for line in body.get("lines") or []:
            if self.repetitions is None or not self.repetitions.hides(where, source, prefix, line):
                lines.append(f"{prefix} {line}")
        if body.get("dropped"):
            lines.append(f"{prefix} … {body['dropped']} lines more were dropped")
        _write(where, lines)

    def _prefix(self, body: Dict[str, Any], where: str) -> str:
        node = str(body.get("node") or "")
        address = ""
        if node and node != self._own_node:
            address = f", ip={self._address_of(node) or node[:8]}"
        prefix = f"({body.get('name') or 'worker'} pid={body.get('pid')}{address})"
        stream = _stream(where)
        if stream is not None and stream.isatty():
            prefix = f"{_COLOUR}{prefix}{_PLAIN}"
        return prefix

    def flush(self, everything: bool = False) -> None:
        """Prints the repetitions that are due, or all."""
        if self.repetitions is not None:
            for where, line in self.repetitions.due(everything):
                _write(where, [line])


class RecentOutput:
    """The last lines of each of the newest workers, as the driver got them. Bounded.

    Not locked: one thread takes, and readers copy.
    """

    _MOST_WORKERS = 256
    _MOST_LINES = 1000

    def __init__(self) -> None:
        self._lines: Dict[Tuple[str, int, str], Deque[str]] = {}

    def take(self, node: str, body: Dict[str, Any]) -> None:
        """The lines of one worker of this node."""
        where = "err" if body.get("stream") == "err" else "out"
        key = (node, int(body.get("pid") or 0), where)
        lines = self._lines.get(key)
        if lines is None:
            if len(self._lines) >= self._MOST_WORKERS:
                del self._lines[next(iter(self._lines))]
            lines = self._lines[key] = deque(maxlen=self._MOST_LINES)
        lines.extend(map(str, body.get("lines") or ()))

    def known(self) -> List[Tuple[str, int, str]]:
        """(node, process id, "out" or "err") of what there is."""
        return list(self._lines)

    def lines(self, node: str, pid: int, where: str) -> List[str]:
        """What a worker printed there; the oldest may be gone."""
        return list(self._lines.get((node, pid, where), ()))


def _stream(where: str) -> Optional[TextIO]:
    return sys.stderr if where == "err" else sys.stdout


def _write(where: str, lines: List[str]) -> None:
    stream = _stream(where)
    if stream is None or not lines:
        return
    try:
        stream.write("".join(line + "\n" for line in lines))
        stream.flush()
    except (OSError, ValueError):
        # The driver's output is closed: nobody reads them.
        pass
