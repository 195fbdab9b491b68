"""Another process of the job, and the one path on which everything goes to it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Set

from iorun._core.connection import Connection
from iorun._core.frames import HEADER, RELAY

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

_BATCH = 1 << 18
_QUIET = 0.0002


class RelayPath:
    """The path to a process on another node: parcels over the hub's connection."""

    def __init__(self, core: "CoreWorker", node: bytes, worker: bytes):
        self.core = core
        self.address = node + worker
        self.out: List[bytes] = []
        self.out_size = 0
        self._last = 0.0

    def send(self, data: bytes) -> None:
        """As `Connection.send`."""
        now = time.perf_counter()
        quiet = not self.out and now - self._last > _QUIET
        self._last = now
        if not self.out and not quiet:
            self.core.loop.mark_dirty(self)  # type: ignore[arg-type]
        self.out.append(data)
        self.out_size += len(data)
        if quiet or self.out_size >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Sends what waits, in one parcel."""
        if not self.out:
            return
        data = b"".join(self.out)
        self.out = []
        self.out_size = 0
        head = HEADER.pack(12 + 32 + len(data), RELAY, 0, 0, 0)
        self.core.hub.connection.send_now(head + self.address + data)


class Peer:
    """One process: its path, and what it is known to know."""

    __slots__ = (
        "core",
        "functions",
        "incoming",
        "node",
        "path",
        "requests",
        "templates",
        "worker",
    )

    def __init__(self, core: "CoreWorker", worker: bytes, node: bytes):
        self.core = core
        self.worker = worker
        self.node = node
        #: Where frames go: a Connection or a RelayPath. None until there is one.
        self.path: Any = None
        #: Numbers of our templates that it has been sent, and hashes of functions.
        self.templates: Set[int] = set()
        self.functions: Set[bytes] = set()
        #: Its templates, by its numbers.
        self.incoming: Dict[int, Any] = {}
        #: FETCH requests of ours that it has not answered: number -> object id.
        self.requests: Dict[int, bytes] = {}

    def send(self, data: bytes) -> None:
        """Writes whole frames. With the lock held."""
        self.path.send(data)

    def waiting_bytes(self) -> int:
        """How much is not written yet."""
        return self.path.out_size if self.path is not None else 0


def connection_of(peer: Any) -> Optional[Connection]:
    """The peer's direct connection, where it has one."""
    path = peer.path
    return path if isinstance(path, Connection) else None


def drain(peer: Any) -> None:
    """Takes what a process has sent that is about to count as ended. Of None: nothing."""
    connection = connection_of(peer) if peer is not None else None
    if connection is not None:
        connection.drain()
