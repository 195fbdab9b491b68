"""How an actor's process runs its calls: one by one, in threads, or in an asyncio loop."""

from __future__ import annotations

import asyncio
import inspect
import logging
import queue
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Dict, Tuple

from iorun import exceptions
from iorun._core import ops, serialization
from iorun._core.actors import read_payload
from iorun._core.calls import Call, Incoming, current_coroutine_call
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
    executor.set_gpus(status.get("gpus") or [])
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
        # The instance exists before its constructor runs: a handle to itself works in there.
        if _has_coroutines(function):
            # Before Python 3.10 locks and queues take the loop that is there when they are made.
            asyncio.set_event_loop(asyncio.new_event_loop())
        executor.actor = function(*args, **kwargs)
        executor.main_call = None
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


class AsyncMode:
    """Calls are coroutines in one asyncio loop, in the main thread."""

    def __init__(self, executor: "Executor", groups: Dict[str, int], limit: int):
        self.executor = executor
        self.loop = asyncio.get_event_loop()
        self.thread = threading.get_ident()
        self.limits: Dict[str, int] = {"": int(limit), **{k: int(v) for k, v in groups.items()}}
        self.active: Dict[str, int] = dict.fromkeys(self.limits, 0)
        self.waiting: Dict[str, Deque[Call]] = {name: deque() for name in self.limits}
        self.incoming: Deque[Call] = deque()
        self.tasks: Dict[Tuple[Any, int], Any] = {}
        self.scheduled = False

    def take(self, call: Call) -> None:
        """A call has come. With the lock held, in whatever thread polls."""
        self.incoming.append(call)
        if self.scheduled:
            return
        self.scheduled = True
        if threading.get_ident() != self.thread:
            self.loop.call_soon_threadsafe(self._start)

    def _start(self) -> None:
        self.scheduled = False
        incoming = self.incoming
        while incoming:
            call = incoming.popleft()
            group = call.template.group
            if group not in self.limits:
                group = ""
            if self.active[group] < self.limits[group] and not self.waiting[group]:
                self._launch(call, group)
            else:
                self.waiting[group].append(call)

    def _launch(self, call: Call, group: str) -> None:
        self.active[group] += 1
        task = self.loop.create_task(self._run_call(call, group))
        self.tasks[call.peer, call.number] = task

    async def _run_call(self, call: Call, group: str) -> None:
        executor = self.executor
        current_coroutine_call.set(call)
        template = call.template
        key = (call.peer, call.number)
        executor.running[key] = call
        start = time.perf_counter()
        try:
            if call.cancelled:
                raise exceptions.TaskCancelledError(call.task_id().hex())
            if call.waiting:
                await self._wait_objects(call)
            function, args, kwargs = executor.prepare(call)
            value = function(*args, **kwargs)
            args = kwargs = None
            if template.is_async and not inspect.isasyncgen(value):
                value = await value
            elif inspect.iscoroutine(value):
                # Not whatever can be awaited: a reference is a value.
                value = await value
            if template.returns.__class__ is not int:
                await self._stream(call, value, start)
            else:
                executor.reply(call, value, start)
        except (exceptions.AsyncioActorExit, SystemExit) as error:
            self._leave(call, error, start)
        except BaseException as error:
            if type(error).__name__ == "ActorExit":
                self._leave(call, error, start)
            else:
                executor.reply_error(call, error, start)
        finally:
            executor.running.pop(key, None)
            self.tasks.pop(key, None)
            self.active[group] -= 1
            waiting = self.waiting[group]
            if waiting:
                self._launch(waiting.popleft(), group)

    def _leave(self, call: Call, error: BaseException, start: float) -> None:
        try:
            self.executor.reply_error(call, error, start)
        except SystemExit:
            # The loop ends, then the process: an exception would only end the coroutine.
            self.loop.stop()

    async def _wait_objects(self, call: Call) -> None:
        future = self.loop.create_future()

        class Wake:
            def count_down(_self) -> None:
                self.executor.core.in_loop(
                    self.loop, lambda f: None if f.done() else f.set_result(None), future
                )

        with self.executor.core.loop.lock:
            if not call.waiting:
                return
            call.waiter = Wake()
        await future
        call.waiter = None

    async def _stream(self, call: Call, value: Any, start: float) -> None:
        if not inspect.isasyncgen(value):
            self.executor.stream(call, value, start)
            return
        limit = int(call.template.spec.get("backpressure") or 0)
        index = 0
        from iorun._core.streams import STOP

        async for item in value:
            self.executor.send_item(call, index, item)
            del item
            index += 1
            while (
                limit > 0
                and index - call.acknowledged >= limit
                and call.acknowledged != STOP
                and not call.cancelled
            ):
                await asyncio.sleep(0.002)
            if call.acknowledged == STOP or call.cancelled:
                await value.aclose()
                break
        if call.cancelled:
            raise exceptions.TaskCancelledError(call.task_id().hex())
        self.executor._send_end(call, index, start)

    def cancel(self, peer: Any, number: int) -> None:
        """Ends a call, started or not. With the lock held."""
        for calls in (self.incoming, *self.waiting.values()):
            for call in calls:
                if call.peer is peer and call.number == number:
                    calls.remove(call)
                    self.executor.reply_cancelled(call)
                    return
        call = self.executor.running.get((peer, number))
        if call is not None:
            call.cancelled = True
        task = self.tasks.get((peer, number))
        if task is not None:
            self.executor.core.in_loop(self.loop, task.cancel)

    def drain(self) -> None:
        """The process ends when nothing is left to do. With the lock held."""
        self.executor.core.in_loop(self.loop, self._drain)

    def _drain(self) -> None:
        if self.incoming or self.tasks:
            self.loop.call_later(0.05, self._drain)
        else:
            self.loop.stop()

    def run(self) -> None:
        """The main thread's life: the asyncio loop, which also watches the core's epoll."""
        core_loop = self.executor.core.loop
        core_loop.watched = True
        # The background thread may poll just now, and would go on.
        core_loop.kick()

        def readable() -> None:
            core_loop.poll_now()
            if self.scheduled:
                self._start()

        self.loop.add_reader(core_loop.epoll.fileno(), readable)
        self.loop.call_soon(readable)
        self.loop.call_soon(self._start)
        self._flusher()
        try:
            self.loop.run_forever()
        finally:
            core_loop.watched = False
        if self.executor.stopping is not None:
            raise SystemExit(0)

    def _flusher(self) -> None:
        # Whatever a round of the loop has written together goes out at its end.
        core_loop = self.executor.core.loop
        original = self.loop._run_once  # type: ignore[attr-defined]

        def run_once() -> None:
            original()
            if core_loop.dirty:
                core_loop.flush()

        self.loop._run_once = run_once  # type: ignore[attr-defined]
