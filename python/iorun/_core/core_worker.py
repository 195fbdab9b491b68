"""The core of a driver or worker: attaches to the agent, and ties the parts together."""

from __future__ import annotations

import logging
import os
import socket
import stat
import sys
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from iorun import _protocol, exceptions
from iorun._core import frames, hub, ops, serialization
from iorun._core.actors import ActorSubmitter
from iorun._core.arena import Arena
from iorun._core.executor import Executor
from iorun._core.giving import Giving
from iorun._core.leases import RECALL_LASTS, TaskQueue
from iorun._core.loop import Loop, Waiter
from iorun._core.neighbours import Neighbours
from iorun._core.objects import ERROR, PENDING, ObjectTable
from iorun._core.output import WorkerOutput
from iorun._core.peer import Peer, connection_of
from iorun._core.reporter import Reporter
from iorun._core.storing import Storing
from iorun._core.streams import StreamTable
from iorun._core.submitter import TaskSubmitter
from iorun._core.unhandled import UnhandledErrors
from iorun._core.waiting import Waiting
from iorun._system_config import SystemConfig
from iorun.object_ref import ObjectRef

logger = logging.getLogger("iorun")


class CoreWorker(Neighbours, Giving, Storing, Waiting):
    """One process's part in a job."""

    def __init__(self, hub_path: str, role: str, worker_id: bytes):
        self.role = role
        self.worker_id = worker_id
        self.node_id = bytes(16)
        self.job_id = ""
        self.namespace = ""
        self.address = "127.0.0.1"
        self.hello: Dict[str, Any] = {}
        self.inline_limit = 100 * 1024
        self.lease_limit = 8
        self.counter = 0
        self.template_count = 0
        self.runtime_env: Dict[str, Any] = {}
        self.environment: Tuple[str, str] = ("", "")
        self.config = SystemConfig.inherited()
        #: Of actors that are made without a lifetime.
        self.default_lifetime = "non_detached"
        self.loop = Loop()
        self.objects = ObjectTable(self)
        self.tasks = TaskSubmitter(self)
        self.actors = ActorSubmitter(self)
        self.streams = StreamTable(self)
        self.reporter = Reporter(self)
        self.output = WorkerOutput(self)
        self.unhandled = UnhandledErrors(self)
        self.executor: Any = Executor(self) if role == "worker" else None
        self._peers: Dict[bytes, Peer] = {}
        self._dead: Dict[bytes, Dict[str, Any]] = {}
        self._listener: Optional[socket.socket] = None
        self._socket_path = ""
        self._log_config = ""
        self._bringing = {}
        self._watcher = Waiter(0)
        self._watcher_told = self._watcher.count_down
        self.peer_handlers = self._make_handlers()
        self.loop.housekeeping = self._housekeeping
        self.hub = hub.HubConnection(self, self.loop, hub_path)
        self.arena: Arena = Arena(self, "", 0)

    # Attaching

    @classmethod
    def connect(
        cls,
        hub_path: str,
        role: str = "driver",
        namespace: str = "",
        job_name: str = "",
        runtime_env: Optional[Dict[str, Any]] = None,
        log_to_driver: bool = True,
        worker: Optional[bytes] = None,
        devices: str = "",
        log_config: str = "",
        config: Optional[SystemConfig] = None,
    ) -> "CoreWorker":
        """Attaches this process. Raises ConnectionError or HubError where it cannot.

        `devices` names the node's GPUs for the job's processes, with commas; empty: by number.
        `log_config` is how its workers log: a `LoggingConfig` as JSON, or empty.
        """
        worker_id = worker or os.urandom(16)
        core = cls(hub_path, role, worker_id)
        try:
            core._log_config = log_config
            core.config = config or core.config
            core._greet(
                hub_path, role, namespace, job_name, runtime_env or {}, log_to_driver, devices
            )
        except BaseException:
            core._abandon()
            raise
        return core

    def _greet(
        self,
        hub_path: str,
        role: str,
        namespace: str,
        job_name: str,
        runtime_env: Dict[str, Any],
        log_to_driver: bool,
        devices: str,
    ) -> None:
        greeting = hub.greeting(role)
        greeting["worker"] = self.worker_id.hex()
        for key, variable in (("token", "IORUN_TOKEN"), ("job", "IORUN_JOB_ID")):
            value = os.environ.get(variable)
            if value:
                greeting[key] = value
        from iorun import _environment

        if role == "worker":
            # What a task submits runs in the task's own environment unless it says otherwise.
            text = os.environ.get("IORUN_ENVIRONMENT", "")
            self.environment = (os.environ.get("IORUN_ENVIRONMENT_HASH", ""), text)
            self.runtime_env = _environment.describe(_environment.decode(text))
        if role == "driver":
            if runtime_env:
                self.environment = _environment.environment_hash(runtime_env)
                self.runtime_env = _environment.describe(_environment.decode(self.environment[1]))
            greeting["namespace"] = namespace
            greeting["name"] = job_name or os.path.basename(sys.argv[0] or "") or "python"
            greeting["launcher"] = _environment.launcher(
                devices, self._log_config, self.config.text()
            )
        directory = os.environ.get("IORUN_DIRECTORY")
        if directory:
            self._listen(directory)
        self._register_events()
        self.loop.start()
        self.namespace = namespace
        self.output.prints = log_to_driver
        # Calls may come right behind the answer, and another thread may take them.
        self.hub.request(ops.HELLO, greeting, timeout=60, then=self._welcomed)
        objection = _protocol.objection(self.hello)
        if objection:
            raise hub.HubError("IOR-1107", objection)
        if role == "driver" and runtime_env:
            from iorun._environment import sharing

            document = sharing.share(_environment.decode(self.environment[1]), self)
            self.environment = _environment.encode(document)

    def _welcomed(self, answer: Dict[str, Any]) -> None:
        """The agent has answered hello. With the lock held."""
        self.hello = answer
        self.node_id = bytes.fromhex(answer["node"])
        self.job_id = answer.get("job", "")
        self.namespace = answer.get("namespace") or self.namespace
        self.address = str(answer.get("address") or "127.0.0.1")
        self.inline_limit = int(answer.get("inlineLimit") or self.inline_limit)
        cpus = (answer.get("resources") or {}).get("CPU") or 1
        self.lease_limit = int(min(64, max(4, 2 * cpus)))
        if self._listener is None:
            self._listen(answer["directory"])
        arena = answer.get("arena") or {}
        self.arena = Arena(self, arena.get("path", ""), int(arena.get("size") or 0))
        # Who has dialled since `_listen` is heard from now on.
        self.loop.add(self._listener.fileno(), self._accept)

    def _listen(self, directory: str) -> None:
        """Binds the socket for other processes; nobody is heard before hello is answered."""
        path = os.path.join(directory, self.worker_id.hex() + ".sock")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            listener.bind(path)
            os.chmod(path, stat.S_IRUSR | stat.S_IWUSR)
            listener.listen(1024)
            listener.setblocking(False)
        except OSError:
            listener.close()
            raise
        self._listener = listener
        self._socket_path = path

    def _register_events(self) -> None:
        on = self.hub.on
        on(ops.PEER_LOST, self._on_peer_lost)
        on(ops.NODE_LOST, self._on_node_lost)
        on(ops.RECALL, self._on_recall)
        on(ops.ACTOR, self.actors.on_event)
        on(ops.ASSIGN, self._on_assign)
        on(ops.STOP, self._on_stop)
        on(ops.LOG, self.output.take)

    def _make_handlers(self) -> List[Any]:
        table: List[Any] = [None] * 256
        executor = self.executor
        objects = self.objects
        table[frames.REPLY] = self.tasks.on_reply
        table[frames.VALUE] = self.on_value
        table[frames.FETCH] = self.on_fetch
        table[frames.OWN] = self.on_own
        table[frames.YIELD] = self.streams.on_yield
        table[frames.GREET] = self._on_greet
        table[frames.RETURNED] = self._on_returned
        table[frames.BORROW] = lambda p, f, a, n, data, s, e: objects.on_borrow(data, s, e)
        table[frames.REMOVE] = lambda p, f, a, n, data, s, e: objects.on_remove(
            p.worker, data, s, e
        )
        if executor is not None:
            table[frames.CALL] = executor.on_call
            table[frames.DEFINE] = executor.on_define
            table[frames.STEAL] = executor.on_steal
            table[frames.ACK] = executor.on_ack
        table[frames.CANCEL] = self._on_cancel
        table[frames.LEASE_INFO] = self._on_lease_info
        return table

    # Events

    def _on_recall(self, body: Dict[str, Any], _blob: bytes) -> None:
        queues = list(self.tasks.queues.values())
        if body.get("own"):
            # Nobody but this process waits: idle leases are kept, unless tasks with other needs wait.
            if not any(queue.waiting for queue in queues):
                return
        else:
            self.tasks.recalled_until = time.monotonic() + RECALL_LASTS
        for queue in queues:
            queue.recall()

    def _on_assign(self, body: Dict[str, Any], blob: bytes) -> None:
        self.executor.assignment = (body, blob)
        self.executor.wake()

    def _on_stop(self, body: Dict[str, Any], _blob: bytes) -> None:
        if self.executor is None:
            logger.error("The agent ends this process's session: %s", body.get("reason"))
            return
        self.executor.stop(bool(body.get("drain")))

    def _on_returned(
        self, peer: Any, flags: int, _a: int, _n: int, data: bytes, start: int, end: int
    ) -> None:
        numbers = [frames.U64.unpack_from(data, at)[0] for at in range(start, end, frames.U64.size)]
        lease = self.tasks.leases.get(peer.worker)
        if lease is not None:
            if flags & 2:
                lease.queue.retire(lease)
            lease.queue.returned(lease, numbers, bool(flags & 1))

    def _on_cancel(
        self, peer: Any, flags: int, aux: int, number: int, data: bytes, start: int, end: int
    ) -> None:
        if flags & 4:
            # By a borrower of the result: it names the object.
            entry = self.objects.entries.get(data[start:end])
            task = entry.source if entry is not None else None
            if task is not None and entry is not None and entry.state == PENDING:
                self.tasks.cancel(task, bool(flags & 1), bool(flags & 2))
        elif self.executor is not None:
            self.executor.on_cancel(peer, flags, aux, number, data, start, end)

    def _on_lease_info(
        self, _p: Any, _f: int, _a: int, _n: int, data: bytes, start: int, end: int
    ) -> None:
        if self.executor is not None:
            info = serialization.loads(data[start:end])
            self.executor.devices.set(info.get("gpus") or [], info.get("accelerators") or {})
            self.executor.set_threads(info.get("cpus") or 0)

    def introduce_lease(self, lease: Any, request: Dict[str, Any]) -> None:
        """Tells a leased worker what it was given."""
        info = {
            "gpus": lease.info.get("gpus") or [],
            "accelerators": lease.info.get("accelerators") or {},
            "cpus": (request.get("resources") or {}).get("CPU", 0),
        }
        lease.peer.send(frames.frame(frames.LEASE_INFO, body=serialization.dumps(info, 5)))

    def _housekeeping(self) -> None:
        self.objects.drain()
        arena = self.arena
        if arena._unpinned:
            with self.loop.lock:
                arena.drain()

    # What others call

    def request(
        self, op: int, body: Dict[str, Any], blob: bytes = b"", timeout: Optional[float] = None
    ) -> Tuple[Dict[str, Any], bytes]:
        """Asks the agent, and waits. Raises HubError, or TimeoutError."""
        return self.hub.request(op, body, blob, timeout)

    def note(self, op: int, body: Dict[str, Any], blob: bytes = b"") -> None:
        """Tells the agent something."""
        with self.loop.lock:
            self.hub.note(op, body, blob)

    def context(self) -> Any:
        """What runs in this thread or coroutine; None in a driver."""
        return self.executor.context() if self.executor is not None else None

    def current_actor_handle(self) -> Any:
        """A handle of the actor that this process is. It does not keep the actor alive."""
        from iorun.actor import ActorHandle

        executor = self.executor
        if executor is None or executor.actor_id is None:
            raise RuntimeError("This process is no actor.")
        return ActorHandle(executor.actor_id, executor.actor_meta, None)

    def queue_for(self, key: str, request: Dict[str, Any]) -> TaskQueue:
        """The queue of tasks with these needs. With the lock held."""
        queue = self.tasks.queues.get(key)
        if queue is None:
            queue = self.tasks.queues[key] = TaskQueue(self, request)
        return queue

    def is_needed(self) -> bool:
        """Whether others have references to objects of this process, or its tasks still run.

        With the lock held.
        """
        own = self.worker_id
        return bool(self.tasks.open) or any(
            entry.remote and id[:16] == own for id, entry in self.objects.entries.items()
        )

    def next_template(self) -> int:
        """A number for a new template."""
        with self.loop.lock:
            self.template_count += 1
            return self.template_count

    def block(self, waiter: Waiter, timeout: Optional[float] = None) -> bool:
        """Waits for something that the runtime does; a task's worker lends its CPU meanwhile."""
        if self.executor is not None:
            return bool(self.executor.wait_blocked(waiter, timeout))
        return self.loop.wait(waiter, timeout)

    def in_loop(self, loop: Any, action: Callable[..., Any], *arguments: Any) -> None:
        """Runs something in an asyncio loop, from whatever thread."""
        try:
            loop.call_soon_threadsafe(action, *arguments)
        except RuntimeError:
            logger.debug("an asyncio loop was closed before its result came")

    def kill(self, actor_id: bytes, no_restart: bool = True) -> None:
        """Ends an actor at once."""
        with self.loop.lock:
            client = self.actors.clients.get(actor_id)
            incarnation = client.incarnation if client is not None else 0
        self.request(ops.ACTOR_KILL, {"actor": actor_id.hex(), "noRestart": bool(no_restart)})
        with self.loop.lock:
            if client is not None and client.incarnation == incarnation:
                # The answer may be faster than the end: later calls wait for word of it.
                client.connection_lost()

    def cancel(self, ref: ObjectRef, force: bool = False, recursive: bool = True) -> None:
        """Cancels the task that makes an object."""
        id = ref.binary()
        with self.loop.lock:
            entry = self.objects.entries.get(id)
            if entry is None or entry.state != PENDING:
                return
            flags = (1 if force else 0) | (2 if recursive else 0)
            if id[:16] != self.worker_id:
                owner = self.peer(id[:16], entry.node)
                if owner is not None:
                    owner.send(frames.frame(frames.CANCEL, flags | 4, body=id))
                return
            task = entry.source
            if task is None:
                return
            if force and task.template.queue is None:
                raise ValueError("force=True is not supported for actor tasks.")
            self.tasks.cancel(task, force, recursive)
        self.loop.flush()

    def get_actor(self, name: str, namespace: Optional[str] = None) -> Any:
        """The handle of a named actor. Raises ValueError where there is none."""
        from iorun.actor import ActorHandle

        id, meta = self.actors.named(name, namespace or self.namespace)
        return ActorHandle(id, meta, None)

    # The end

    def drain_output(self, seconds: float) -> None:
        """Waits until what was said is written, but not for longer."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.loop.flush()
            with self.loop.lock:
                waiting = self.hub.connection.out_size + sum(
                    peer.waiting_bytes() for peer in self._peers.values()
                )
            if not waiting:
                return
            self.loop.wait(Waiter(1), 0.005)

    def shutdown(self) -> None:
        """Lets go of the network."""
        if self.loop.closed:
            return
        if self.role == "driver":
            if self.output.prints and self.template_count:
                self.output.await_last()
            with self.loop.lock:
                self.hub.note(ops.BYE, {})
        self.drain_output(1.0)
        self._abandon()

    def forked(self) -> None:
        """This is a forked child: its copies of the sockets close, and say nothing."""
        self.loop.forked()
        sockets = [peer.path.sock for peer in self._peers.values() if connection_of(peer)]
        for sock in (*sockets, self._listener, self.hub.connection.sock):
            if sock is not None:
                sock.close()

    def _abandon(self) -> None:
        self.loop.close()
        with self.loop.lock:
            if self._listener is not None:
                self._listener.close()
                try:
                    os.unlink(self._socket_path)
                except OSError:
                    # The agent removes the whole folder.
                    pass
            for peer in self._peers.values():
                connection = connection_of(peer)
                if connection is not None:
                    connection.close()
            self.hub.close()
            error = serialization.dump_error(
                exceptions.RaySystemError("The session was shut down before this had a value.")
            )
            for entry in list(self.objects.entries.values()):
                if entry.state == PENDING:
                    self.objects.settle_here(entry, ERROR, error)


__all__ = ["CoreWorker"]
