"""Runs the calls that come in: plain tasks one by one, an actor's as its options say."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import signal
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Dict, List, Optional, Tuple

from iorun import exceptions
from iorun._core import children, ops
from iorun._core.answers import Answers
from iorun._core.calls import (
    Call,
    Context,
    Incoming,
    current_coroutine_call,
    task_id,
)
from iorun._core.devices import Devices
from iorun._core.frames import (
    CALL_FULL,
    RETURNED,
    U32,
    U64,
    FrameError,
    frame,
)
from iorun._core.functions import Functions
from iorun._core.loop import Waiter
from iorun._core.titles import ProcessTitle

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

logger = logging.getLogger("iorun")

_perf = time.perf_counter
_THREADS = "OMP_NUM_THREADS"


class Executor(Answers, Functions):
    """The side of a worker that runs things."""

    def __init__(self, core: "CoreWorker"):
        self.core = core
        self.queue: Deque[Call] = deque()
        self.waiter: Optional[Waiter] = None
        self.functions: Dict[bytes, Any] = {}
        self.codes: Dict[bytes, bytes] = {}
        self.calls_of: Dict[bytes, int] = {}
        self.running: Dict[Tuple[Any, int], Call] = {}
        self.local = threading.local()
        self.main_thread = threading.get_ident()
        self.main_call: Optional[Call] = None
        self.actor_id: Optional[bytes] = None
        self.actor: Any = None
        self.actor_status: Dict[str, Any] = {}
        self.actor_meta: Dict[str, Any] = {}
        self.devices = Devices()
        # Of the user, or of the task's environment.
        self.own_threads = os.environ.get(_THREADS, "1") != "1" or (
            os.environ.pop("IORUN_OWN_THREADS", "") != "0"
        )
        self.mode: Any = None
        self.assignment: Any = None
        self.stopping: Optional[str] = None
        self.exit_code = 0
        self.draining = False
        self.interrupting = False
        self._title = ProcessTitle.installed()
        self._blocked = 0
        self._interrupt: Optional[Call] = None

    # What comes in, with the lock held

    def on_define(
        self, peer: Any, _flags: int, _aux: int, number: int, data: bytes, start: int, end: int
    ) -> None:
        """A peer's template."""
        spec = pickle.loads(data[start:end])
        if not isinstance(spec, dict):
            raise FrameError("a template that is no dict")
        if spec.get("default_lifetime"):
            self.core.default_lifetime = "detached"
        template = Incoming(spec)
        if template.hash and template.code:
            self.codes[template.hash] = template.code
            template.code = None
        peer.incoming[number] = template

    def on_call(
        self, peer: Any, flags: int, attempt: int, number: int, data: bytes, start: int, end: int
    ) -> None:
        """A call."""
        template = peer.incoming.get(U32.unpack_from(data, start)[0])
        if template is None:
            raise FrameError("a call of a template that was not sent")
        full = flags & CALL_FULL != 0
        call = Call(peer, number, template, data[start + 4 : end], full, attempt)
        if full:
            call.receive(self.core)
        if self.mode is not None:
            self.mode.take(call)
            return
        self.queue.append(call)
        waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            waiter.count_down()

    def on_steal(
        self, peer: Any, _flags: int, _aux: int, number: int, _data: bytes, _start: int, _end: int
    ) -> None:
        """The caller wants unstarted calls back."""
        self.give_back(peer, number, False)

    def give_back(self, peer: Any, most: int, blocked: bool, retires: bool = False) -> None:
        """Returns up to so many unstarted calls, the last first.

        `blocked`: no others can run here for now; `retires`: nor ever.
        """
        kept: List[Call] = []
        back: List[Call] = []
        queue = self.queue
        while queue and len(back) < most:
            call = queue.pop()
            if call.peer is peer:
                back.append(call)
            else:
                kept.append(call)
        queue.extend(reversed(kept))
        back.reverse()
        for call in back:
            call.release(self.core)
        peer.send(
            frame(
                RETURNED,
                (1 if blocked else 0) | (2 if retires else 0),
                body=b"".join(U64.pack(call.number) for call in back),
            )
        )

    def on_cancel(
        self, peer: Any, flags: int, _aux: int, number: int, _data: bytes, _start: int, _end: int
    ) -> None:
        """The caller wants a call to end."""
        if flags & 2:
            self.core.tasks.cancel_children(task_id(peer.worker, number), bool(flags & 1))
        call = self.running.get((peer, number))
        if call is None:
            for call in self.queue:
                if call.peer is peer and call.number == number:
                    self.queue.remove(call)
                    self.reply_cancelled(call)
                    return
            if self.mode is not None:
                self.mode.cancel(peer, number)
            return
        call.cancelled = True
        if flags & 1:
            self.core.hub.note(ops.EXITING, {"intended": False, "reason": "cancelled by force"})
            self.core.loop.flush()
            if self.core.config["kill_child_processes_on_worker_exit"]:
                children.end_children()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.mode is not None:
            self.mode.cancel(peer, number)
        elif self.actor_id is None and call.thread == self.main_thread:
            self._interrupt = call
            if threading.get_ident() != self.main_thread or not self.core.loop.holds_baton():
                signal.pthread_kill(self.main_thread, signal.SIGINT)

    def install_interrupt(self) -> None:
        """SIGINT, in the main thread, ends the call that is to be cancelled."""

        def handler(_signal: int, _frame: Any) -> None:
            # Inside the core an exception would tear what it is about; `get` looks by itself.
            if self.core.loop.holds_baton() or self.core.loop.lock._is_owned():  # type: ignore[attr-defined]
                return
            self.check_interrupt()

        signal.signal(signal.SIGINT, handler)

    def check_interrupt(self) -> None:
        """Raises where the call that runs in this thread was cancelled."""
        call = self._interrupt
        if call is not None and self.main_call is call and self.interrupting:
            self._interrupt = None
            raise KeyboardInterrupt

    def on_ack(
        self, peer: Any, _flags: int, _aux: int, number: int, data: bytes, start: int, _end: int
    ) -> None:
        """The caller has taken yielded values."""
        call = self.running.get((peer, number))
        if call is not None:
            (call.acknowledged,) = U64.unpack_from(data, start)
            if call.waiter is not None:
                call.waiter.count_down()
            if call.template.spec.get("actor_backpressure"):
                # Its actor's other generators wait for the same room.
                for other in list(self.running.values()):
                    if other is not call and other.waiter is not None and other.sent:
                        other.waiter.count_down()

    # Context

    def set_threads(self, cpus: float) -> None:
        """Libraries for numbers start as many threads as the task has CPUs, not the machine."""
        if not self.own_threads:
            os.environ[_THREADS] = str(max(1, int(cpus)))

    def context(self) -> Optional[Context]:
        """What runs here; None in a process that runs nothing."""
        call = current_coroutine_call.get()
        if call is None:
            if threading.get_ident() == self.main_thread:
                call = self.main_call
            else:
                call = getattr(self.local, "call", None)
        if call is None and self.actor_id is None:
            return None
        return Context(self, call)

    def current_task(self) -> bytes:
        """The id of the task that runs here, empty outside of tasks."""
        if threading.get_ident() == self.main_thread:
            call = self.main_call
        else:
            call = getattr(self.local, "call", None)
        if call is None:
            call = current_coroutine_call.get()
        return call.task_id() if call is not None else b""

    # Waiting inside of a call

    def wait_blocked(self, waiter: Waiter, timeout: Optional[float]) -> bool:
        """Waits, in a call, for something that other calls may have to make."""
        core = self.core
        if self.actor_id is not None or self.main_call is None:
            return core.loop.wait(waiter, timeout)
        main = threading.get_ident() == self.main_thread
        with core.loop.lock:
            self._blocked += 1
            if self._blocked == 1:
                for peer in {call.peer for call in self.queue}:
                    self.give_back(peer, 1 << 30, True)
                core.hub.note(ops.BLOCKED, {})
        try:
            if not main:
                return core.loop.wait(waiter, timeout)
            deadline = None if timeout is None else time.monotonic() + timeout
            while True:
                slice_ = 0.1 if deadline is None else min(0.1, deadline - time.monotonic())
                done = core.loop.wait(waiter, max(0.0, slice_))
                self.check_interrupt()
                if done or (deadline is not None and time.monotonic() >= deadline):
                    return done
        finally:
            with core.loop.lock:
                self._blocked -= 1
                if not self._blocked:
                    core.hub.note(ops.UNBLOCKED, {})

    # Running

    def run(self) -> None:
        """The main thread's life."""
        queue = self.queue
        loop = self.core.loop
        while self.stopping is None:
            if self.assignment is not None:
                self.become_actor()
                if self.mode is not None:
                    self.mode.run()
                    return
            try:
                call = queue.popleft()
            except IndexError:
                call = None
            if call is None or call.template.actor_method is not None:
                with loop.lock:
                    if call is not None:
                        # It has come before the word that this process is to be its actor.
                        queue.appendleft(call)
                    elif queue:
                        continue
                    if self.assignment is not None or self.stopping is not None:
                        continue
                    if self.draining:
                        return
                    self.waiter = waiter = Waiter(1)
                loop.wait(waiter)
                continue
            self.main_call = call
            try:
                self.execute(call)
            finally:
                self.main_call = None

    def wake(self) -> None:
        """Makes the main thread look around. With the lock held."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            waiter.count_down()

    def prepare(self, call: Call) -> Tuple[Any, Tuple[Any, ...], Dict[str, Any]]:
        """The function and the arguments of a call; waits for objects that are on their way."""
        if call.waiting:
            with self.core.loop.lock:
                waiter = call.waiter = Waiter(1 if call.waiting else 0)
            self.core.loop.wait(waiter)
            call.waiter = None
        template = call.template
        function = template.function
        if function is None:
            function = self.resolve(template)
        if not call.full and not call.data:
            return function, (), {}
        args, kwargs = call.decode(self.core)
        return function, args, kwargs

    def execute(self, call: Call) -> None:
        """Runs a call in this thread and answers it."""
        template = call.template
        call.thread = threading.get_ident()
        call.running = True
        key = (call.peer, call.number)
        self.running[key] = call
        if self._title is not None:
            self._title.show(f"ray::{template.name}")
        start = _perf()
        try:
            try:
                if call.cancelled:
                    raise exceptions.TaskCancelledError(call.task_id().hex())
                function, args, kwargs = self.prepare(call)
                if call.thread == self.main_thread:
                    self.interrupting = True
                    self.check_interrupt()
                value = function(*args, **kwargs)
                self.interrupting = False
                if template.is_async:
                    value = self._run_coroutine(value)
                if template.returns.__class__ is not int:
                    self.stream(call, value, start)
                    return
            finally:
                self.interrupting = False
                args = kwargs = None  # noqa: F841 - references in them go now
            self.reply(call, value, start)
        except BaseException as error:
            if self.stopping == "exit":
                # The answer is out, and was the last one.
                raise
            self.reply_error(call, error, start)
        finally:
            self.running.pop(key, None)
            if self._title is not None:
                self._title.show(self._title.idle)

    def show_actor(self, class_name: str, constructs: bool) -> None:
        """This process is an actor, or is about to be."""
        if self._title is not None:
            self._title.idle = f"ray::{class_name}"
            self._title.show(f"ray::{class_name}.__init__" if constructs else self._title.idle)

    # The end

    def caller_lost(self, worker: bytes) -> None:
        """A process is gone: nobody waits for what it had asked for. With the lock held."""
        if self.actor_id is not None:
            return
        gone = [call for call in self.queue if call.peer.worker == worker]
        for call in gone:
            self.queue.remove(call)
            call.release(self.core)

    def stop(self, drain: bool) -> None:
        """Ends this process: when nothing is left to do, or now. With the lock held."""
        if drain:
            self.draining = True
            self.wake()
            if self.mode is not None:
                self.mode.drain()
            return
        self.stopping = "stop"
        self.core.loop.flush()
        os.kill(os.getpid(), signal.SIGTERM)

    def exit_actor(self) -> None:
        """Ends an async actor in order, from one of its loops, whatever coroutine wanted it."""
        if self.stopping is not None:
            return
        if self.mode is None:
            # A task that the constructor has started was faster than its end.
            asyncio.get_running_loop().call_later(0.01, self.exit_actor)
            return
        with self.core.loop.lock:
            self.core.hub.note(ops.EXITING, {"intended": True, "reason": "exit_actor() was called"})
        self.core.drain_output(2.0)
        self.stopping = "exit"
        self.mode.stop()

    # Becoming an actor

    def become_actor(self) -> None:
        """Makes the instance that this process is to be."""
        from iorun._core import actor_modes

        status, blob = self.assignment
        self.assignment = None
        actor_modes.construct(self, status, blob)
