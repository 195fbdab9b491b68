"""How an actor's process runs its calls: one by one, in threads, or in an asyncio loop."""

from __future__ import annotations

import asyncio
import inspect
import logging
import queue
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Dict

from iorun import exceptions
from iorun._core import ops, serialization
from iorun._core.actors import read_payload
from iorun._core.async_mode import AsyncMode
from iorun._core.calls import Call, Incoming
from iorun._core.frames import FrameError

if TYPE_CHECKING:
    from iorun._core.executor import Executor

logger = logging.getLogger("iorun")

_DEFAULT_ASYNC = 1000
#: So many threads a group may have at most.
_MAX_THREADS = 4096


class _Creator:
    """Stands for the peer that a creation came from."""

    def __init__(self, worker: bytes, node: bytes):
        self.worker = worker
        self.node = node


def construct(executor: "Executor", status: Dict[str, Any], blob: bytes) -> None:
    """Makes the instance, tells the hub, and chooses the mode; ends the process where it fails."""
    core = executor.core
    executor.actor_id = bytes.fromhex(status["actor"])
    executor.actor_status = status
    executor.devices.set(status.get("gpus") or [], status.get("accelerators") or {})
    creator = status.get("creator") or {}
    peer = _Creator(
        bytes.fromhex(creator.get("worker") or "00" * 16),
        bytes.fromhex(creator.get("node") or "00" * 16),
    )
    try:
        meta, plain, data = read_payload(blob)
    except (FrameError, ValueError, EOFError, IndexError) as error:
        raise RuntimeError(f"the creation payload is malformed: {error}") from error
    executor.actor_meta = meta
    if meta.get("default_lifetime"):
        executor.core.default_lifetime = "detached"
    executor.set_threads((meta.get("resources") or {}).get("CPU", 0))
    template = Incoming(
        {"name": f"{meta['class_name']}.__init__", "returns": 1, **meta.get("spec", {})}
    )
    call = Call(peer, 0, template, data, not plain, int(status.get("incarnation") or 0))
    executor.main_call = call
    try:
        if not plain:
            with core.loop.lock:
                call.receive(core)
        template.function = function = serialization.loads(meta["code"])
        _, args, kwargs = executor.prepare(call)
        executor.show_actor(meta["class_name"], True)
        # The instance exists before its constructor runs: a handle to itself works in there.
        if _has_coroutines(function):
            # In the loop: constructors start tasks of their own, and before Python 3.10 locks and
            # queues take the loop that is there when they are made.
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            executor.actor = loop.run_until_complete(_constructed(function, args, kwargs))
        else:
            executor.actor = function(*args, **kwargs)
        executor.main_call = None
        executor.show_actor(meta["class_name"], False)
        mode = _mode(executor, function, meta)
    except BaseException as error:
        _failed(executor, call, error)
        return
    with core.loop.lock:
        # The references in the arguments stay held: a restart elsewhere may use them again.
        call.held = []
        core.hub.note(ops.ACTOR_READY, {"actor": status["actor"], "failed": False, "message": ""})
        # Calls that were faster than the constructor come first.
        executor.mode = mode
        waiting, executor.queue = executor.queue, deque()
        for early in waiting:
            mode.take(early)
    core.loop.flush()


async def _constructed(cls: type, args: Any, kwargs: Any) -> Any:
    constructor: Any = cls.__init__
    if not inspect.iscoroutinefunction(constructor):
        return cls(*args, **kwargs)
    # Ray's actors may wait in their constructors.
    instance = cls.__new__(cls, *args, **kwargs)
    await constructor(instance, *args, **kwargs)
    return instance


def _failed(executor: "Executor", call: Call, error: BaseException) -> None:
    core = executor.core
    executor.main_call = None
    if isinstance(error, SystemExit):
        with core.loop.lock:
            core.hub.note(
                ops.EXITING,
                {"intended": False, "reason": f"its constructor called sys.exit({error.code!r})"},
            )
        executor.leave(error.code if isinstance(error.code, int) else 1)
        return
    if type(error).__name__ == "ActorExit":
        with core.loop.lock:
            core.hub.note(
                ops.EXITING, {"intended": True, "reason": "exit_actor() in its constructor"}
            )
        executor.leave(0)
        return
    wrapped = executor.wrap(call, error)
    with core.loop.lock:
        core.hub.note(
            ops.ACTOR_READY,
            {
                "actor": executor.actor_status["actor"],
                "failed": True,
                # Creators in other processes see this text: it says all that the error does.
                "message": f"{exceptions.CREATION_FAILED} {wrapped}"[:8000],
            },
            serialization.dump_error(wrapped),
        )
    executor.leave(1)


def _mode(executor: "Executor", cls: type, meta: Dict[str, Any]) -> Any:
    groups = dict(meta.get("concurrency_groups") or {})
    limit = meta.get("max_concurrency")
    if _has_coroutines(cls):
        return AsyncMode(executor, groups, limit or _DEFAULT_ASYNC)
    if (limit or 1) > 1 or groups:
        return ThreadMode(executor, groups, limit or 1)
    return SerialMode(executor)


def _has_coroutines(cls: type) -> bool:
    # What `inspect` would run properties for is looked up on the class.
    return any(
        inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member)
        for member in (inspect.getattr_static(cls, name, None) for name in dir(cls))
    )


class SerialMode:
    """One call after the other, in the main thread, in the order in which they came."""

    def __init__(self, executor: "Executor"):
        self.executor = executor
        self.queue: Deque[Call] = deque()

    def take(self, call: Call) -> None:
        """A call has come. With the lock held."""
        self.queue.append(call)
        waiter = self.executor.waiter
        if waiter is not None:
            self.executor.waiter = None
            waiter.count_down()

    def cancel(self, peer: Any, number: int) -> None:
        """Ends a call that was not started. With the lock held."""
        for call in self.queue:
            if call.peer is peer and call.number == number:
                self.queue.remove(call)
                self.executor.reply_cancelled(call)
                return

    def drain(self) -> None:
        """The process ends when nothing is left to do. With the lock held; `run` looks."""

    def run(self) -> None:
        """The main thread's life."""
        from iorun._core.loop import Waiter

        executor = self.executor
        calls = self.queue
        loop = executor.core.loop
        execute = executor.execute
        while executor.stopping is None:
            try:
                call = calls.popleft()
            except IndexError:
                with loop.lock:
                    if calls or executor.stopping is not None:
                        continue
                    if executor.draining:
                        return
                    executor.waiter = waiter = Waiter(1)
                loop.wait(waiter)
                continue
            executor.main_call = call
            execute(call)
            executor.main_call = None


class ThreadMode:
    """Calls run in the threads of their concurrency group."""

    def __init__(self, executor: "Executor", groups: Dict[str, int], limit: int):
        self.executor = executor
        self.queues: Dict[str, Any] = {}
        for name, count in {**groups, "": limit}.items():
            count = max(1, min(int(count), _MAX_THREADS))
            self.queues[name] = _Pool(executor, name, count)

    def take(self, call: Call) -> None:
        """A call has come. With the lock held."""
        self.executor.running[call.peer, call.number] = call
        pool = self.queues.get(call.template.group)
        if pool is None:
            pool = self.queues[""]
        pool.put(call)

    def cancel(self, peer: Any, number: int) -> None:
        """Threads cannot be interrupted: a started call sees it in its runtime context."""
        call = self.executor.running.get((peer, number))
        if call is not None:
            call.cancelled = True

    def run(self) -> None:
        """The main thread only takes calls in."""
        from iorun._core.loop import Waiter

        executor = self.executor
        while executor.stopping is None:
            with executor.core.loop.lock:
                if executor.stopping is not None:
                    return
                executor.waiter = waiter = Waiter(1)
            executor.core.loop.wait(waiter, 0.05 if executor.draining else None)
            if executor.draining and not executor.running:
                return

    def drain(self) -> None:
        """The process ends when nothing is left to do. With the lock held; `run` looks."""


class _Pool:
    """Threads that are started as they are needed."""

    def __init__(self, executor: "Executor", name: str, limit: int):
        self.executor = executor
        self.name = name
        self.limit = limit
        self.calls: "queue.SimpleQueue[Call]" = queue.SimpleQueue()
        self.threads = 0
        self.idle = 0

    def put(self, call: Call) -> None:
        self.calls.put(call)
        if self.calls.qsize() > self.idle and self.threads < self.limit:
            self.threads += 1
            threading.Thread(
                target=self._run, name=f"{self.name or 'calls'}-{self.threads}", daemon=True
            ).start()

    def _run(self) -> None:
        executor = self.executor
        local = executor.local
        while True:
            self.idle += 1
            call = self.calls.get()
            self.idle -= 1
            local.call = call
            executor.execute(call)
            local.call = None
            del call
