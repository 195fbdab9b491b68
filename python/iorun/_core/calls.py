"""A call that came in: its template, its arguments, and how far it is."""

from __future__ import annotations

import contextvars
import inspect
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from iorun._core import arguments, serialization
from iorun._core.frames import ARENA, ERROR, FULL, PLAIN
from iorun._core.objects import InArena

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker


def task_id(worker: Any, number: int) -> bytes:
    """The id of a task: the worker id of its caller, and the caller's count of tasks."""
    return bytes(worker) + number.to_bytes(8, "little")


class Incoming:
    """A template of a peer's, with the function once somebody needed it."""

    __slots__ = (
        "actor_method",
        "code",
        "function",
        "group",
        "hash",
        "is_async",
        "max_calls",
        "name",
        "resources",
        "retry",
        "returns",
        "spec",
    )

    def __init__(self, spec: Dict[str, Any]):
        self.spec = spec
        self.name = str(spec["name"])
        self.returns = spec["returns"]
        self.hash = spec.get("hash", b"")
        self.actor_method = spec.get("method")
        self.group = spec.get("group") or ""
        self.retry = spec.get("retry")
        self.max_calls = int(spec.get("max_calls") or 0)
        self.resources = spec.get("resources") or {}
        self.function: Any = None
        self.code = spec.get("code")
        self.is_async = False

    def retries_on(self, error: BaseException) -> bool:
        """Whether the caller wants the call run again after this error of its own."""
        retry = self.retry
        if not retry:
            return False
        if retry is True:
            return True
        return isinstance(error, serialization.loads(retry))


class Call:
    """One call, to be run here."""

    __slots__ = (
        "acknowledged",
        "attempt",
        "cancelled",
        "data",
        "full",
        "held",
        "number",
        "peer",
        "running",
        "sent",
        "template",
        "thread",
        "views",
        "waiter",
        "waiting",
    )

    def __init__(
        self, peer: Any, number: int, template: Incoming, data: bytes, full: bool, attempt: int
    ):
        self.peer = peer
        self.number = number
        self.template = template
        self.data = data
        self.full = full
        self.attempt = attempt
        self.held: List[bytes] = []
        self.views: Dict[int, Any] = {}
        self.waiting = 0
        self.waiter: Any = None
        self.cancelled = False
        self.running = False
        self.thread = 0
        # Streaming: how many values were yielded, and how many of them taken.
        self.sent = 0
        self.acknowledged = 0

    def task_id(self) -> bytes:
        """The id of the task."""
        return task_id(self.peer.worker, self.number)

    def receive(self, core: "CoreWorker") -> None:
        """Holds the references in the arguments, and asks for the objects that they name.

        With the lock held, when the call comes in.
        """
        results, full = arguments.split_full(self.data)
        self.held = core.objects.receive(serialization.ref_table(full))
        for index, (tag, data) in enumerate(results):
            if tag == FULL:
                self.held += core.objects.receive(serialization.ref_table(data))
            elif tag == ARENA:
                id, _, size, locations = arguments.decode_dependency(data)
                known = core.arena.mapped(id)
                if known is not None:
                    self.views[index] = known
                    continue
                self.waiting += 1
                core.arena.pin_later(id, locations, size, self._pinned(index))

    def _pinned(self, index: int) -> Any:
        def done(view: Any, error: Any) -> None:
            self.views[index] = view if error is None else error
            self.waiting -= 1
            if not self.waiting and self.waiter is not None:
                self.waiter.count_down()

        return done

    def decode(self, core: "CoreWorker") -> Tuple[Tuple[Any, ...], Dict[str, Any]]:
        """The arguments. Without the lock; all objects are there."""
        if not self.full:
            if not self.data:
                return (), {}
            args, kwargs = serialization.loads(self.data)
            return args, kwargs
        results, full = arguments.split_full(self.data)
        self.data = b""
        view = memoryview(full)
        with core.loop.lock:
            refs = core.objects.refs_of(serialization.ref_ids(view))
        (args, kwargs, places), _ = serialization.deserialize_full(view, refs)
        if not places:
            return args, kwargs
        args = list(args)
        for index, (tag, data) in enumerate(results):
            value = self._dependency(core, index, tag, data)
            place = places[index]
            if isinstance(place, int):
                args[place] = value
            else:
                kwargs[place] = value
        self.views = {}
        return tuple(args), kwargs

    def _dependency(self, core: "CoreWorker", index: int, tag: int, data: bytes) -> Any:
        if tag == PLAIN:
            return serialization.loads(data)
        if tag == ERROR:
            raise serialization.loads(data)
        if tag == ARENA:
            view = self.views[index]
            if isinstance(view, Exception):
                id, _, size, locations = arguments.decode_dependency(data)
                raise DependencyLost(id, InArena(size, locations), view)
        else:
            view = memoryview(data)
        table = serialization.ref_table(view)
        with core.loop.lock:
            if tag == ARENA and table:
                self.held += core.objects.receive(table)
            refs = core.objects.refs_of(serialization.ref_ids(view))
        return serialization.deserialize_full(view, refs)[0]

    def release(self, core: "CoreWorker") -> None:
        """Lets go of the references that came with the arguments. With the lock held."""
        held, self.held = self.held, []
        for id in held:
            core.objects.release(id)


class ActorExit(BaseException):
    """`exit_actor()` was called."""


class DependencyLost(Exception):
    """An object that a call takes is nowhere any more."""

    def __init__(self, id: bytes, where: InArena, reason: Exception):
        super().__init__(str(reason))
        self.id = id
        self.where = where
        self.reason = reason


#: The call that runs in this coroutine (of an async actor).
current_coroutine_call: contextvars.ContextVar = contextvars.ContextVar("iorun_call", default=None)


class Context:
    """What runs in this thread or coroutine, for `get_runtime_context()`."""

    __slots__ = ("_call", "_executor")

    def __init__(self, executor: Any, call: Optional[Call]):
        self._executor = executor
        self._call = call

    @property
    def task_id(self) -> Optional[bytes]:
        """The running task's id; None outside of tasks."""
        return self._call.task_id() if self._call else None

    @property
    def number(self) -> int:
        """The running task's number among its caller's."""
        return self._call.number if self._call else 0

    @property
    def task_name(self) -> str:
        """The running task's name."""
        return self._call.template.name if self._call else ""

    @property
    def function_name(self) -> str:
        """The name of the function that runs."""
        if not self._call:
            return ""
        name = str(self._call.template.spec.get("function") or self._call.template.name)
        actor = self._executor.actor
        if actor is None:
            return name
        method = getattr(type(actor), name.rpartition(".")[2], None)
        if inspect.iscoroutinefunction(method):
            # Ray names a coroutine by the place where it is written.
            name = method.__qualname__
        return f"{type(actor).__module__}.{name}"

    @property
    def actor_id(self) -> Optional[bytes]:
        """The actor that this process is."""
        return self._executor.actor_id

    @property
    def actor_name(self) -> str:
        """Its name."""
        return str(self._executor.actor_status.get("name") or "")

    @property
    def restarts(self) -> int:
        """How often the actor was started before."""
        status = self._executor.actor_status
        return int(status.get("restarts") or max(0, int(status.get("incarnation") or 0) - 1))

    @property
    def attempt(self) -> int:
        """How often the task was run before."""
        return self._call.attempt if self._call else 0

    @property
    def resources(self) -> Dict[str, float]:
        """What the task or actor was given."""
        if self._executor.actor_id is not None:
            return dict(self._executor.actor_meta.get("resources") or {})
        return dict(self._call.template.resources) if self._call else {}

    @property
    def gpus(self) -> List[Any]:
        """The numbers of its GPUs."""
        return list(self._executor.devices.gpus)

    @property
    def accelerators(self) -> Dict[str, List[str]]:
        """The numbers of all its accelerators, by kind."""
        return self._executor.devices.ids()

    @property
    def group(self) -> Optional[bytes]:
        """Its placement group."""
        value = self._spec().get("placement_group")
        return bytes.fromhex(value) if value else None

    @property
    def capture_child_tasks(self) -> bool:
        """Whether what it submits goes into the same placement group."""
        return bool(self._spec().get("capture"))

    @property
    def runtime_env(self) -> Dict[str, Any]:
        """Its runtime environment, as the user gave it."""
        return dict(self._spec().get("runtime_env") or {})

    def _spec(self) -> Dict[str, Any]:
        if self._executor.actor_id is not None:
            return dict(self._executor.actor_meta)
        return self._call.template.spec if self._call else {}

    def is_cancelled(self) -> bool:
        """Whether somebody has cancelled the task."""
        self._executor.core.loop.poll_now()
        return bool(self._call and self._call.cancelled)
