"""How an async actor runs its calls: coroutines, in one asyncio loop for each concurrency group."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Dict, List, Tuple

from iorun import exceptions
from iorun._core.calls import Call, current_coroutine_call
from iorun._core.streams import STOP

if TYPE_CHECKING:
    from iorun._core.executor import Executor

__all__ = ["AsyncMode"]


class _Lane:
    """The calls of one concurrency group: a loop, and how many run in it at a time.

    What takes calls in may be called by any thread, with the core's lock held; the rest runs in
    the loop's own thread.
    """

    def __init__(self, executor: "Executor", loop: Any, thread: int, limit: int):
        self.executor = executor
        self.loop = loop
        self.thread = thread
        self.limit = limit
        self.active = 0
        self.incoming: Deque[Call] = deque()
        self.waiting: Deque[Call] = deque()
        self.tasks: Dict[Tuple[Any, int], Any] = {}
        self.scheduled = False

    def take(self, call: Call) -> None:
        """A call has come. With the lock held, in whatever thread polls."""
        self.incoming.append(call)
        if self.scheduled:
            return
        self.scheduled = True
        if threading.get_ident() != self.thread:
            self.loop.call_soon_threadsafe(self.start)

    def start(self) -> None:
        """Starts what has come, as far as there is room."""
        self.scheduled = False
        incoming = self.incoming
        while incoming:
            call = incoming.popleft()
            if self.active < self.limit and not self.waiting:
                self._launch(call)
            else:
                self.waiting.append(call)

    def _launch(self, call: Call) -> None:
        self.active += 1
        task = self.loop.create_task(self._run_call(call))
        self.tasks[call.peer, call.number] = task

    async def _run_call(self, call: Call) -> None:
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
            self.active -= 1
            if self.waiting:
                self._launch(self.waiting.popleft())

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
        index = 0
        async for item in value:
            self.executor.send_item(call, index, item)
            del item
            index += 1
            while self.executor.is_ahead(call):
                await asyncio.sleep(0.002)
            if call.acknowledged == STOP or call.cancelled:
                await value.aclose()
                break
        if call.cancelled:
            raise exceptions.TaskCancelledError(call.task_id().hex())
        self.executor._send_end(call, index, start)

    def cancel(self, peer: Any, number: int) -> bool:
        """Ends a call that has not started; whether it was here. With the lock held."""
        for calls in (self.incoming, self.waiting):
            for call in calls:
                if call.peer is peer and call.number == number:
                    calls.remove(call)
                    self.executor.reply_cancelled(call)
                    return True
        task = self.tasks.get((peer, number))
        if task is not None:
            self.executor.core.in_loop(self.loop, task.cancel)
        return task is not None

    def flush_rounds(self) -> None:
        """Whatever a round of the loop has written together goes out at its end."""
        core_loop = self.executor.core.loop
        original = self.loop._run_once

        def run_once() -> None:
            original()
            if core_loop.dirty:
                core_loop.flush()

        self.loop._run_once = run_once


class AsyncMode:
    """Calls without a group are coroutines in the main thread's loop.

    Each named group has a loop and a thread of its own: a method that blocks its loop does not
    keep other groups waiting.
    """

    def __init__(self, executor: "Executor", groups: Dict[str, int], limit: int):
        self.executor = executor
        main = _Lane(executor, asyncio.get_event_loop(), threading.get_ident(), int(limit))
        self.main = main
        self.lanes: Dict[str, _Lane] = {"": main}
        for name, count in groups.items():
            self.lanes[name] = self._started(name, int(count))
        self._all: List[_Lane] = list(self.lanes.values())

    def _started(self, name: str, limit: int) -> _Lane:
        loop = asyncio.new_event_loop()

        def life() -> None:
            asyncio.set_event_loop(loop)
            loop.run_forever()

        thread = threading.Thread(target=life, name=f"{name}-1", daemon=True)
        thread.start()
        lane = _Lane(self.executor, loop, thread.ident or 0, limit)
        loop.call_soon_threadsafe(lane.flush_rounds)
        return lane

    def take(self, call: Call) -> None:
        """A call has come. With the lock held, in whatever thread polls."""
        self.lanes.get(call.template.group, self.main).take(call)

    def cancel(self, peer: Any, number: int) -> None:
        """Ends a call, started or not. With the lock held."""
        call = self.executor.running.get((peer, number))
        if call is not None:
            call.cancelled = True
        for lane in self._all:
            if lane.cancel(peer, number):
                return

    def drain(self) -> None:
        """The process ends when nothing is left to do. With the lock held."""
        self.executor.core.in_loop(self.main.loop, self._drain)

    def _drain(self) -> None:
        if any(lane.incoming or lane.tasks for lane in self._all):
            self.main.loop.call_later(0.05, self._drain)
        else:
            self.main.loop.stop()

    def stop(self) -> None:
        """Ends the main thread's loop, and with it the process."""
        self.executor.core.in_loop(self.main.loop, self.main.loop.stop)

    def run(self) -> None:
        """The main thread's life: its asyncio loop.

        Without groups it also watches the core's epoll. With groups the background thread does: a
        method that blocks this loop must not keep calls from the others.
        """
        main = self.main
        core_loop = self.executor.core.loop
        alone = len(self._all) == 1
        if alone:
            core_loop.watched = True
            # The background thread may poll just now, and would go on.
            core_loop.kick()

            def readable() -> None:
                core_loop.poll_now()
                if main.scheduled:
                    main.start()

            main.loop.add_reader(core_loop.epoll.fileno(), readable)
            main.loop.call_soon(readable)
        main.loop.call_soon(main.start)
        main.flush_rounds()
        try:
            main.loop.run_forever()
        finally:
            core_loop.watched = False
        if self.executor.stopping is not None:
            raise SystemExit(self.executor.exit_code)
