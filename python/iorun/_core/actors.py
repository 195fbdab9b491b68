"""Actors as their callers see them: state, calls in their order, restarts, handles."""

from __future__ import annotations

import logging
import os
import pickle
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Dict, List, Optional, Tuple

from iorun import exceptions
from iorun._core import arguments, failures, ops, serialization
from iorun._core.frames import ERROR, U32, FrameError
from iorun._core.hub import HubError
from iorun._core.objects import PENDING, PLAIN, Entry
from iorun._core.tasks import Task, Template, id_suffix
from iorun.object_ref import ObjectRef

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

logger = logging.getLogger("iorun")

#: The index in the ids that count an actor's handles.
_HANDLE_INDEX = 0xFFFFFFFF
_ORDER = {"PENDING": 0, "PLACED": 1, "ALIVE": 2, "RESTARTING": 3, "DEAD": 4}


class ActorClient:
    """One actor, for all handles of it in this process. With the lock held."""

    __slots__ = (
        "__weakref__",
        "cause",
        "class_name",
        "core",
        "created",
        "creation_error",
        "creation_held",
        "handle_id",
        "holding",
        "id",
        "incarnation",
        "inflight",
        "max_pending",
        "name",
        "namespace",
        "out_of_order",
        "peer",
        "pending",
        "released",
        "restarts",
        "state",
        "waiting",
    )

    def __init__(self, core: "CoreWorker", id: bytes):
        self.core = core
        self.id = id
        self.state = "PENDING"
        self.incarnation = -1
        self.restarts = 0
        self.peer: Any = None
        self.waiting: Deque[Task] = deque()
        self.inflight: Dict[int, Task] = {}
        self.pending = 0
        self.max_pending = -1
        self.out_of_order = False
        self.cause: Optional[Dict[str, Any]] = None
        self.creation_error: Optional[Exception] = None
        self.class_name = ""
        self.name: Optional[str] = None
        self.namespace: Optional[str] = None
        #: The object id that counts handles; None where nobody counts (detached, looked up).
        self.handle_id: Optional[bytes] = None
        self.holding = False
        self.created = False
        self.released = False
        # References inside the creation payload: it may be used again for a restart.
        self.creation_held: List[bytes] = []

    def submit(self, task: Task) -> None:
        """Calls the actor: now, or in its turn."""
        if self.state == "DEAD":
            self.core.tasks.fail(task, failures.of_actor(self, self.cause))
            return
        if not self.pending and self.handle_id is not None:
            # Calls keep the actor as handles do.
            entry = self.core.objects.entries.get(self.handle_id)
            if entry is not None:
                entry.local += 1
                self.holding = True
        self.pending += 1
        if not task.dependencies and not self.waiting and self.peer is not None:
            self.inflight[task.number] = task
            task.place = self
            task.send_to(self.peer)
            return
        self.waiting.append(task)
        task.missing = 0
        if task.dependencies:
            self.core.tasks.resolve(task, self._resolved)
            # `missing` is 0 again only when all is there.
            if task.missing:
                return
        self.pump()

    def _resolved(self, _: Task) -> None:
        self.pump()

    def pump(self) -> None:
        """Sends what can be sent, in order."""
        waiting = self.waiting
        if self.peer is None:
            return
        skipped: List[Task] = []
        while waiting:
            task = waiting[0]
            if task.finished:
                waiting.popleft()
                self._one_less()
                continue
            if task.missing:
                if not self.out_of_order:
                    break
                skipped.append(waiting.popleft())
                continue
            waiting.popleft()
            self.inflight[task.number] = task
            task.place = self
            try:
                task.send_to(self.peer)
            except KeyError as error:
                del self.inflight[task.number]
                self.core.tasks.fail(task, self.core.lost_error(error.args[0]))
                self._one_less()
        waiting.extendleft(reversed(skipped))

    def replied(self, number: int, _units: int) -> None:
        """A call has ended."""
        if self.inflight.pop(number, None) is not None:
            self._one_less()

    def call_again(self, task: Task) -> None:
        """A call that has ended in an error is to be made once more."""
        if self.peer is not None:
            task.send_to(self.peer)
            return
        self.inflight.pop(task.number, None)
        task.place = None
        self.waiting.appendleft(task)

    def _one_less(self) -> None:
        self.pending -= 1
        if not self.pending and self.holding and self.handle_id is not None:
            self.holding = False
            self.core.objects.release(self.handle_id)

    # States

    def update(self, status: Dict[str, Any], blob: bytes) -> None:
        """The network says how the actor is."""
        state = status.get("state", "PENDING")
        incarnation = int(status.get("incarnation") or 0)
        if self.state == "DEAD" or (incarnation, _ORDER.get(state, 0)) <= (
            self.incarnation,
            _ORDER[self.state],
        ):
            return
        self.name = status.get("name") or self.name
        self.namespace = status.get("namespace") or self.namespace
        self.class_name = status.get("className") or self.class_name
        if state in ("PLACED", "ALIVE"):
            node = bytes.fromhex(status["node"])
            if incarnation > self.incarnation >= 0 and self.inflight:
                if int(status.get("restarts") or 0) == self.restarts:
                    # Its first place did not take it: nothing has run there.
                    self._never_ran()
                else:
                    self._lost_calls(status.get("cause"))
            self.incarnation = incarnation
            self.state = state
            if state == "ALIVE" or node != self.core.node_id:
                self.peer = self.core.peer(bytes.fromhex(status["worker"]), node)
                self.pump()
        elif state == "RESTARTING":
            self.incarnation = max(incarnation, self.incarnation)
            self.state = state
            self.peer = None
            self.cause = status.get("cause")
            self._lost_calls(self.cause)
        elif state == "DEAD":
            self.state = state
            self.incarnation = max(incarnation, self.incarnation)
            self.cause = status.get("cause") or self.cause
            self._read_creation_error(self.cause, blob)
            self._dead()
        self.restarts = int(status.get("restarts") or 0)

    def _read_creation_error(self, cause: Optional[Dict[str, Any]], blob: bytes) -> None:
        if not blob:
            return
        try:
            error = serialization.loads(blob)
        except Exception as problem:
            logger.debug("an actor's creation error does not unpickle here: %s", problem)
            return
        if isinstance(error, exceptions.RayTaskError):
            self.creation_error = exceptions.ActorDiedError(error)
        elif isinstance(error, exceptions.RayError):
            self.creation_error = error

    def connection_lost(self) -> None:
        """The way to the actor's process has ended; its state will come from the network."""
        self.peer = None

    def _never_ran(self) -> None:
        inflight, self.inflight = self.inflight, {}
        for task in inflight.values():
            task.place = None
        self.waiting.extendleft(reversed(list(inflight.values())))

    def _lost_calls(self, cause: Optional[Dict[str, Any]]) -> None:
        inflight, self.inflight = self.inflight, {}
        again: List[Task] = []
        for task in inflight.values():
            task.place = None
            if task.retries and not task.cancelled and not task.finished:
                if task.retries > 0:
                    task.retries -= 1
                task.attempt += 1
                again.append(task)
                continue
            self.core.tasks.fail(
                task,
                exceptions.ActorUnavailableError(
                    f"its process was lost while it ran the call: {failures.describe(cause)} It "
                    "restarts.",
                    self.id,
                ),
            )
            self._one_less()
        self.waiting.extendleft(reversed(again))

    def _dead(self) -> None:
        self.peer = None
        error = serialization.dump_error(failures.of_actor(self, self.cause))
        for task in [*self.inflight.values(), *self.waiting]:
            self.core.tasks.fail_with_bytes(task, error)
            self._one_less()
        self.inflight = {}
        self.waiting.clear()
        held, self.creation_held = self.creation_held, []
        for id in held:
            self.core.objects.release(id)


class ActorSubmitter:
    """All actors that this process knows."""

    def __init__(self, core: "CoreWorker"):
        self.core = core
        self.clients: Dict[bytes, ActorClient] = {}
        self._by_handle: Dict[bytes, ActorClient] = {}

    def client(self, id: bytes) -> ActorClient:
        """The actor of this id; one that is new here is watched. With the lock held."""
        client = self.clients.get(id)
        if client is None:
            client = self.clients[id] = ActorClient(self.core, id)
        return client

    def watch(self, id: bytes, handle_id: Optional[bytes]) -> ActorClient:
        """An actor that somebody else has created. With the lock held."""
        client = self.clients.get(id)
        if client is not None:
            return client
        client = self.client(id)
        self._watch(client, handle_id)
        return client

    def _watch(self, client: ActorClient, handle_id: Optional[bytes]) -> None:
        def done(status: Dict[str, Any], _blob: bytes, error: Optional[HubError]) -> None:
            if error is None:
                client.update(status, b"")
                return
            entry = self.core.objects.entries.get(handle_id) if handle_id else None
            if error.code == ops.NOT_FOUND and handle_id and entry is not None:
                # A handle can be faster than the creation; its maker knows when that is done.
                self.core.want(handle_id, entry)
                self.core.objects.when_ready(entry, lambda: self._watch(client, None))
                return
            client.update(
                {"state": "DEAD", "cause": {"code": error.code, "message": error.message}}, b""
            )

        self.core.hub.start(ops.ACTOR_WATCH, {"actor": client.id.hex()}, done)

    def on_event(self, status: Dict[str, Any], blob: bytes) -> None:
        """The network says how an actor is. With the lock held."""
        client = self.clients.get(bytes.fromhex(status["actor"]))
        if client is not None:
            client.update(status, blob)

    # Creation

    def create(
        self, meta: Dict[str, Any], request: Dict[str, Any], given: arguments.Arguments
    ) -> Tuple[bytes, Optional[ObjectRef], Dict[str, Any]]:
        """Creates an actor: its id, the reference that counts handles, what handles know.

        Without the lock. Named ones are waited for: their name may be taken.
        """
        core = self.core
        id = os.urandom(16)
        detached = bool(request.get("detached"))
        with core.loop.lock:
            client = self.client(id)
            client.created = True
            client.class_name = request["className"]
            client.name = request.get("name") or None
            client.namespace = request.get("namespace") or None
            client.max_pending = meta.get("max_pending_calls", -1)
            client.out_of_order = bool(meta.get("out_of_order"))
            handle = None
            if not detached:
                core.counter += 1
                handle_id = core.worker_id + id_suffix(core.counter, _HANDLE_INDEX)
                core.objects.entries[handle_id] = Entry(1)
                client.handle_id = handle_id
                self._by_handle[handle_id] = client
                handle = ObjectRef(handle_id)
        request = {**request, "actor": id.hex()}
        if request.get("name"):
            self._wait_for_dependencies(given)
            try:
                answer, blob = core.request(
                    ops.ACTOR_CREATE, request, self._payload(meta, given, client)
                )
            except HubError as error:
                with core.loop.lock:
                    self._forget(client)
                if error.code == ops.WRONG_STATE:
                    raise exceptions.ActorAlreadyExistsError(
                        f"The name {request['name']} (namespace={request.get('namespace')}) is "
                        f"already taken: {error}"
                    ) from None
                if error.code == ops.NO_PLACEMENT:
                    raise exceptions.ActorUnschedulableError(str(error)) from None
                raise
            with core.loop.lock:
                existing = bytes.fromhex(answer["actor"])
                if existing != id:
                    return self._existing(existing, answer, blob, client, handle)
                self._created(client, answer)
            return id, handle, meta
        with core.loop.lock:
            self._send_when_ready(meta, request, given, client)
        return id, handle, meta

    def _existing(
        self, id: bytes, answer: Dict[str, Any], blob: bytes, unused: ActorClient, handle: Any
    ) -> Tuple[bytes, Optional[ObjectRef], Dict[str, Any]]:
        # `get_if_exists` found one: what was prepared for a new one is not needed.
        self._forget(unused)
        client = self.client(id)
        client.update(answer, b"")
        return id, None, read_payload(blob)[0]

    def _forget(self, client: ActorClient) -> None:
        self.clients.pop(client.id, None)
        if client.handle_id is not None:
            self._by_handle.pop(client.handle_id, None)

    def _created(self, client: ActorClient, status: Dict[str, Any]) -> None:
        client.update(status, b"")
        entry = self.core.objects.entries.get(client.handle_id or b"")
        if entry is not None and entry.state == PENDING:
            self.core.objects.settle_here(entry, PLAIN, serialization.dumps(None, 5))

    def _payload(self, meta: Dict[str, Any], given: arguments.Arguments, client: ActorClient) -> bytes:
        core = self.core
        head = pickle.dumps(meta, 5)
        with core.loop.lock:
            if given.plain:
                body = given.data
            else:
                held = [ref.binary() for ref in (*given.dependencies, *given.nested)]
                for id in held:
                    core.objects.entries[id].local += 1
                client.creation_held = held
                body = arguments.encode_full(
                    core, given.data, [ref.binary() for ref in given.dependencies], _Nobody(client.id)
                )
        return U32.pack(len(head)) + head + (b"\0" if given.plain else b"\1") + body

    def _wait_for_dependencies(self, given: arguments.Arguments) -> None:
        if given.dependencies:
            self.core.wait_settled(list(given.dependencies))

    def _send_when_ready(
        self,
        meta: Dict[str, Any],
        request: Dict[str, Any],
        given: arguments.Arguments,
        client: ActorClient,
    ) -> None:
        core = self.core
        left = [1]

        def done(answer: Dict[str, Any], blob: bytes, error: Optional[HubError]) -> None:
            if error is not None:
                cause = {"code": error.code, "message": error.message, "remedy": error.remedy}
                self._created(client, {"state": "DEAD", "cause": cause})
            else:
                self._created(client, answer)

        def ready() -> None:
            left[0] -= 1
            if left[0]:
                return
            for ref in given.dependencies:
                entry = core.objects.entries[ref.binary()]
                if entry.state == ERROR:
                    error = serialization.loads(entry.data)
                    client.creation_error = (
                        exceptions.ActorDiedError(error)
                        if isinstance(error, exceptions.RayTaskError)
                        else error
                    )
                    self._created(client, {"state": "DEAD", "cause": {}})
                    return
            if client.released:
                return
            core.hub.start(
                ops.ACTOR_CREATE, request, done, self._payload(meta, given, client)
            )

        for ref in given.dependencies:
            id = ref.binary()
            entry = core.objects.entries[id]
            left[0] += 1
            core.want(id, entry)
            core.objects.when_ready(entry, ready)
        ready()

    # Handles

    def adopt(self, id: bytes, handle: Optional[ObjectRef]) -> ActorClient:
        """A handle came in: with it the reference that counts it. Takes the lock."""
        with self.core.loop.lock:
            client = self.watch(id, handle.binary() if handle is not None else None)
            if handle is not None and not client.holding:
                client.handle_id = handle.binary()
            return client

    def handles_gone(self, handle_id: bytes) -> None:
        """No handle is left anywhere: the actor ends in order. With the lock held."""
        client = self._by_handle.pop(handle_id, None)
        if client is None or client.state == "DEAD":
            return
        client.released = True
        self.core.hub.note(ops.ACTOR_RELEASE, {"actor": client.id.hex()})

    def named(self, name: str, namespace: str) -> Tuple[bytes, Dict[str, Any]]:
        """(id, what handles know) of a named actor. Without the lock. Raises ValueError."""
        try:
            status, blob = self.core.request(
                ops.ACTOR_NAMED, {"name": name, "namespace": namespace}
            )
        except HubError as error:
            if error.code != ops.NOT_FOUND:
                raise
            raise ValueError(
                f"Failed to look up actor with name '{name}'. This could be because 1. You are "
                "trying to look up a named actor you didn't create. 2. The named actor died. 3. "
                f"You did not use a namespace matching the namespace of the actor ({namespace!r})."
            ) from None
        with self.core.loop.lock:
            id = bytes.fromhex(status["actor"])
            self.client(id).update(status, b"")
        return id, read_payload(blob)[0]

    def call(
        self, client: ActorClient, template: Template, given: Any, parent: int
    ) -> Tuple[Task, List[ObjectRef]]:
        """Calls a method. With the lock held."""
        if 0 < client.max_pending <= client.pending:
            raise exceptions.PendingCallsLimitExceeded(
                f"The actor {client.class_name} has {client.pending} pending calls; its "
                f"max_pending_calls is {client.max_pending}. Wait for some of them first."
            )
        task, refs = self.core.tasks.make(template, given, parent)
        if template.returns.__class__ is not int:
            self.core.streams.open(task)
        client.submit(task)
        return task, refs


class _Nobody:
    """The receiver of a creation payload: whoever becomes the actor."""

    def __init__(self, worker: bytes):
        self.worker = worker


def read_payload(blob: bytes) -> Tuple[Dict[str, Any], bool, bytes]:
    """(what handles and the worker know, whether the arguments are plain, the arguments)."""
    (length,) = U32.unpack_from(blob)
    if 4 + length + 1 > len(blob):
        raise FrameError("an actor's creation payload is cut off")
    meta = pickle.loads(memoryview(blob)[4 : 4 + length])
    return meta, blob[4 + length] == 0, blob[5 + length :]



