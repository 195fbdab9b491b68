"""The other processes of the job: ways to them, greetings, and what happens when one is lost."""

from __future__ import annotations

import logging
import os
import socket
import struct
from typing import Any, Callable, Dict, List, Optional

from iorun import exceptions
from iorun._core import frames, hub, ops, serialization
from iorun._core.connection import Connection
from iorun._core.objects import ERROR, PENDING
from iorun._core.peer import Peer, RelayPath, connection_of, drain

logger = logging.getLogger("iorun")

_GREETING = 32
#: How long the cause of a lost connection may take to come from the hub.
_CAUSE_WAIT = 2.0


class Neighbours:
    """The part of the core that knows the other processes."""

    # Of CoreWorker; named here for type checkers.
    loop: Any
    hub: Any
    hello: Dict[str, Any]
    role: str
    worker_id: bytes
    node_id: bytes
    objects: Any
    tasks: Any
    executor: Any
    peer_handlers: List[Any]
    owner_died: Callable[..., bytes]
    node_gone: Callable[..., None]
    _peers: Dict[bytes, Peer]
    _dead: Dict[bytes, Dict[str, Any]]
    _listener: Optional[socket.socket]

    # With the lock held

    def peer(self, worker: bytes, node: Optional[bytes]) -> Optional[Peer]:
        """The process with this id; None where it is known to be gone."""
        peer = self._peers.get(worker)
        if peer is not None and peer.path is not None:
            return peer
        if worker in self._dead:
            return None
        if peer is None:
            peer = self._peers[worker] = Peer(self, worker, node or self.node_id)
        if peer.node == self.node_id:
            path = self._socket_of(worker)
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            try:
                sock.connect(path)
            except OSError as error:
                sock.close()
                self._lost(worker, {"code": ops.PROCESS_LOST, "message": f"it is gone ({error})."})
                return None
            connection = Connection(self.loop, sock, self.peer_handlers, self._connection_closed)
            connection.peer = peer
            peer.path = connection
            connection.send_now(frames.frame(frames.GREET, body=self.node_id + self.worker_id))
        else:
            peer.path = RelayPath(self, peer.node, worker)
        return peer

    def _socket_of(self, worker: bytes) -> str:
        """Where a process of this node listens: in its job's folder, beside that of our own."""
        own = os.path.dirname(self._socket_path)
        name = worker.hex() + ".sock"
        path = os.path.join(own, name)
        if os.path.exists(path):
            return path
        # A named actor may be another driver's.
        jobs = os.path.dirname(own)
        for job in os.listdir(jobs):
            other = os.path.join(jobs, job, name)
            if os.path.exists(other):
                return other
        return path

    def relayed_peer(self, worker: bytes, node: bytes) -> Peer:
        """The process on another node that a parcel came from."""
        peer = self._peers.get(worker)
        if peer is None or peer.path is None:
            peer = peer or Peer(self, worker, node)
            self._peers[worker] = peer
            peer.path = RelayPath(self, node, worker)
        return peer

    def _accept(self, _mask: int) -> None:
        listener = self._listener
        if listener is None:
            return
        try:
            sock, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        pid, uid, _gid = struct.unpack(
            "3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        )
        if uid not in (os.getuid(), 0):
            logger.warning("A connection of user %d (process %d) was refused.", uid, pid)
            sock.close()
            return
        with self.loop.lock:
            handlers: List[Any] = [None] * 256
            # Nothing else is heard before the greeting.
            handlers[frames.GREET] = self._on_greet
            Connection(self.loop, sock, handlers, self._connection_closed)

    def _on_greet(
        self, connection: Any, _f: int, _a: int, _n: int, data: bytes, start: int, end: int
    ) -> None:
        if not isinstance(connection, Connection) or end - start != _GREETING:
            raise frames.FrameError("a greeting that is none")
        node, worker = data[start : start + 16], data[start + 16 : end]
        if node != self.node_id and self.hello:
            raise frames.FrameError("a greeting of another node over a local socket")
        self._check_sender(connection.sock, worker)
        peer = self._peers.get(worker)
        if peer is None:
            peer = self._peers[worker] = Peer(self, worker, node)
        connection.peer = peer
        connection.handlers = self.peer_handlers
        if peer.path is None:
            peer.path = connection

    def _check_sender(self, sock: socket.socket, worker: bytes) -> None:
        """Raises FrameError where the process at the other end is not the one it says it is.

        The kernel knows who listens on a worker's own socket, and who has connected to this one.
        """
        path = self._socket_of(worker)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
            probe.setblocking(False)
            try:
                probe.connect(path)
            except BlockingIOError:
                # So many want to talk to it that it cannot be asked: it is there, at least.
                return
            except OSError as error:
                raise frames.FrameError(
                    f"a greeting of {worker.hex()}, which is not there ({error})"
                ) from error
            listening, sending = _process_behind(probe), _process_behind(sock)
        if listening != sending:
            raise frames.FrameError(
                f"a greeting of {worker.hex()} (process {listening}) from process {sending}"
            )

    def _connection_closed(self, connection: Connection, reason: str) -> None:
        peer = connection.peer
        if peer is None or peer.worker in self._dead:
            return
        worker = peer.worker
        if reason:
            logger.debug("The connection to %s ended: %s", worker.hex(), reason)
        if connection_of(peer) is connection:
            peer.path = _Nowhere()

        def assume() -> None:
            if worker not in self._dead:
                self._lost(
                    worker,
                    {"code": ops.PROCESS_LOST, "message": "Its connection ended unexpectedly."},
                )

        self.loop.after(_CAUSE_WAIT, assume)

    def _on_peer_lost(self, body: Dict[str, Any], _blob: bytes) -> None:
        cause = body.get("cause") or {}
        self._lost(bytes.fromhex(body["worker"]), cause)

    def _on_node_lost(self, body: Dict[str, Any], _blob: bytes) -> None:
        node = bytes.fromhex(body["node"])
        cause = {"code": "IOR-NODE", "message": str(body.get("reason") or "its node was lost")}
        for peer in list(self._peers.values()):
            if peer.node == node:
                self._lost(peer.worker, cause)
        self.node_gone(node)

    def _lost(self, worker: bytes, cause: Dict[str, Any]) -> None:
        """A process is gone for good."""
        if worker in self._dead:
            return
        # Its last answers may be here already.
        drain(self._peers.get(worker))
        self._dead[worker] = cause
        peer = self._peers.pop(worker, None)
        if peer is not None:
            connection = connection_of(peer)
            if connection is not None:
                connection.close()
            peer.path = _Nowhere()
        self.tasks.worker_lost(worker, cause)
        self.objects.borrower_lost(worker)
        for id, entry in self.objects.owner_lost(worker):
            self.objects.settle_here(entry, ERROR, self.owner_died(id, cause))
        if self.executor is not None:
            self.executor.caller_lost(worker)

    def hub_lost(self, failure: hub.HubError) -> None:
        """The agent is gone: nothing of this session will ever end."""
        if self.loop.closed:
            return
        if self.role == "worker":
            os._exit(1)
        error = serialization.dump_error(exceptions.LocalRayletDiedError(str(failure)))
        for entry in list(self.objects.entries.values()):
            if entry.state == PENDING:
                self.objects.settle_here(entry, ERROR, error)


def _process_behind(sock: socket.socket) -> int:
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("3i", credentials)[0])


class _Nowhere:
    """The path to a process that is gone: what goes there is lost, its sender hears of it apart."""

    out_size = 0

    def send(self, _data: bytes) -> None:
        pass

    def flush(self) -> None:
        pass
