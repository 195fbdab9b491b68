"""Actors as their callers see them: state, calls in their order, restarts, handles."""

from __future__ import annotations

import logging
import os
import pickle
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from iorun import exceptions
from iorun._core import arguments, ops, serialization
from iorun._core.actor_client import ActorClient
from iorun._core.frames import ERROR, U32, FrameError
from iorun._core.hub import HubError
from iorun._core.objects import PENDING, PLAIN, Entry
from iorun._core.peer import drain
from iorun._core.tasks import Task, Template, id_suffix
from iorun.object_ref import ObjectRef

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

logger = logging.getLogger("iorun")

#: The index in the ids that count an actor's handles.
_HANDLE_INDEX = 0xFFFFFFFF


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
        if client is None:
            return
        if status.get("state") in ("DEAD", "RESTARTING"):
            # What it has answered before its end is an answer.
            drain(client.peer)
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
                handle = ObjectRef(handle_id, True)
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
                        "already taken. Please use a different name, or take the existing actor "
                        f"by get_actor({request['name']!r}, namespace="
                        f"{request.get('namespace')!r}) or get_if_exists=True."
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

    def _payload(
        self, meta: Dict[str, Any], given: arguments.Arguments, client: ActorClient
    ) -> bytes:
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
                    core,
                    given.data,
                    [ref.binary() for ref in given.dependencies],
                    _Nobody(client.id),
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
                    core.unhandled.seen(ref.binary())
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
            core.hub.start(ops.ACTOR_CREATE, request, done, self._payload(meta, given, client))

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
        self, client: ActorClient, template: Template, given: Any, parent: bytes
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
