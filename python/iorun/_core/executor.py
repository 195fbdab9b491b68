"""Runs the calls that come in: plain tasks one by one, an actor's as its options say."""

from __future__ import annotations

import inspect
import logging
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Dict, List, Optional, Tuple

from iorun import exceptions
from iorun._core import ops, serialization
from iorun._core.calls import Call, Context, DependencyLost, Incoming, current_coroutine_call
from iorun._core.frames import (
    ARENA,
    CALL_FULL,
    ERROR,
    FULL,
    HEADER,
    IN_ARENA,
    PLAIN,
    REPLY,
    REPLY_CANCELLED,
    REPLY_ERROR,
    REPLY_PLAIN,
    REPLY_RETRY,
    RETURNED,
    U32,
    U64,
    YIELD,
    FrameError,
    encode_results,
    frame,
)
from iorun._core.loop import Waiter
from iorun._core.streams import STOP
from iorun._core.tasks import DYNAMIC, id_suffix

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

logger = logging.getLogger("iorun")

_pack = HEADER.pack
_perf = time.perf_counter
_SIMPLE = serialization.SIMPLE
_UNIT = 1e6 / 16
_VISIBLE = "CUDA_VISIBLE_DEVICES"


class ActorExit(BaseException):
    """`exit_actor()` was called."""


class Executor:
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
        self.gpus: List[Any] = []
        self.mode: Any = None
        self.assignment: Any = None
        self.stopping: Optional[str] = None
        self.draining = False
        self.interrupting = False
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

    def give_back(self, peer: Any, most: int, blocked: bool) -> None:
        """Returns up to so many unstarted calls, the last first."""
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
                1 if blocked else 0,
                body=b"".join(U64.pack(call.number) for call in back),
            )
        )

    def on_cancel(
        self, peer: Any, flags: int, _aux: int, number: int, _data: bytes, _start: int, _end: int
    ) -> None:
        """The caller wants a call to end."""
        if flags & 2:
            self.core.tasks.cancel_children(number, bool(flags & 1))
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

    # Context

    def set_gpus(self, gpus: List[Any]) -> None:
        """The GPUs that what runs here may use; libraries look at the variable when they start."""
        if gpus:
            os.environ[_VISIBLE] = ",".join(map(str, gpus))
        elif self.gpus:
            os.environ.pop(_VISIBLE, None)
        self.gpus = gpus

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

    def current_number(self) -> int:
        """The number of the call that runs here, 0 outside of calls."""
        if threading.get_ident() == self.main_thread:
            call = self.main_call
        else:
            call = getattr(self.local, "call", None)
        if call is None:
            call = current_coroutine_call.get()
        return call.number if call is not None else 0

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
                with loop.lock:
                    if queue or self.assignment is not None or self.stopping is not None:
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

    def resolve(self, template: Incoming) -> Any:
        """The function of a template."""
        name = template.actor_method
        if name is not None:
            if name == "__ray_call__":
                function = self._ray_call
            elif name == "__ray_terminate__":
                function = self._terminate
            elif name == "__ray_ready__":
                function = _ready
            else:
                function = getattr(self.actor, name)
        else:
            function = self.functions.get(template.hash)
            if function is None:
                code = self.codes.get(template.hash)
                if code is None:
                    raise exceptions.RaySystemError(f"the code of {template.name} has not come")
                function = self.functions[template.hash] = serialization.loads(code)
                del self.codes[template.hash]
        template.function = function
        template.is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(
            function
        )
        return function

    def _ray_call(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self.actor, *args, **kwargs)

    def _terminate(self) -> None:
        raise ActorExit

    def execute(self, call: Call) -> None:
        """Runs a call in this thread and answers it."""
        template = call.template
        call.thread = threading.get_ident()
        call.running = True
        key = (call.peer, call.number)
        self.running[key] = call
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
            self.reply_error(call, error, start)
        finally:
            self.running.pop(key, None)

    def _run_coroutine(self, value: Any) -> Any:
        import asyncio

        if inspect.isasyncgen(value):
            return _drive(value)
        return asyncio.run(value)

    # Answers

    def reply(self, call: Call, value: Any, start: float) -> None:
        """Answers with a value. Raises where it cannot be sent."""
        if call.cancelled and self.actor_id is not None:
            # The caller has given up on it, whatever it returns.
            raise exceptions.TaskCancelledError(call.task_id().hex())
        returns = call.template.returns
        units = int((_perf() - start) * _UNIT)
        if units > 65535:
            units = 65535
        if returns == 1 and type(value) in _SIMPLE:
            data = serialization.dumps(value, 5)
            if len(data) <= self.core.inline_limit:
                with self.core.loop.lock:
                    if call.held:
                        call.release(self.core)
                    call.peer.path.send(
                        _pack(12 + len(data), REPLY, REPLY_PLAIN, units, call.number) + data
                    )
                if call.template.max_calls:
                    self.count_call(call)
                return
        if returns == 1:
            values = [value]
        elif returns == 0:
            values = []
        else:
            values = self._split(call, value, returns)
        results = [
            self.encode(call, index, item) for index, item in enumerate(values)
        ]
        self._send_results(call, REPLY, 0, units, results)
        if call.template.max_calls:
            self.count_call(call)

    def _split(self, call: Call, value: Any, returns: int) -> List[Any]:
        try:
            values = list(value)
        except TypeError:
            raise ValueError(
                f"Task {call.template.name} has num_returns={returns} but returned a single "
                f"{type(value).__name__}, which cannot be taken apart."
            ) from None
        if len(values) != returns:
            raise ValueError(
                f"Task {call.template.name} returned {len(values)} objects, but num_returns="
                f"{returns}."
            )
        return values

    def encode(self, call: Call, index: int, value: Any) -> Tuple[int, Any, List[bytes]]:
        """A result: tag, bytes (of FULL: a Serialized), references in it. Without the lock."""
        core = self.core
        try:
            serialized = serialization.serialize(value)
        except TypeError as error:
            raise TypeError(f"The result of {call.template.name} cannot be sent. {error}") from error
        if serialized.plain and len(serialized.data) <= core.inline_limit:
            return PLAIN, serialized.data, []
        refs = [ref.binary() for ref in serialized.refs]
        size = serialized.size()
        if size <= core.inline_limit:
            return FULL, serialized, refs
        id = bytes(call.peer.worker) + id_suffix(call.number, index)
        with core.loop.lock:
            table = core.objects.table_for(refs, None)
        core.arena.write(
            id, size, serialized.pieces(table), (call.peer.node, call.peer.worker)
        )
        return ARENA, IN_ARENA.pack(core.node_id, size, len(refs)), refs

    def _send_results(
        self, call: Call, kind: int, flags: int, units: int, results: List[Any], head: bytes = b""
    ) -> None:
        core = self.core
        with core.loop.lock:
            encoded = []
            for tag, data, refs in results:
                if tag == FULL:
                    data = data.full(core.objects.table_for(refs, call.peer))
                elif tag == ARENA:
                    data = data + core.objects.table_for(refs, call.peer)
                encoded.append((tag, data))
            if kind == REPLY:
                call.release(core)
            call.peer.send(
                frame(kind, flags, units, call.number, head + encode_results(encoded))
            )

    def reply_error(self, call: Call, error: BaseException, start: float) -> None:
        """Answers with an error."""
        template = call.template
        units = min(65535, int((_perf() - start) * _UNIT))
        flags = REPLY_ERROR
        if isinstance(error, (ActorExit, SystemExit, exceptions.AsyncioActorExit)):
            self._exit(call, error, units)
            return
        if isinstance(error, DependencyLost):
            self.core.report_lost(error.id, error.where)
            wrapped: BaseException = self.core.lost_error(error.id)
        elif isinstance(error, (KeyboardInterrupt, exceptions.TaskCancelledError)) and call.cancelled:
            flags |= REPLY_CANCELLED
            wrapped = exceptions.TaskCancelledError(call.task_id().hex())
        elif type(error).__name__ == "CancelledError" and call.cancelled:
            flags |= REPLY_CANCELLED
            wrapped = exceptions.TaskCancelledError(call.task_id().hex())
        else:
            wrapped = self.wrap(call, error)
            try:
                if template.retries_on(error):
                    flags |= REPLY_RETRY
            except Exception:
                logger.exception("retry_exceptions of %s cannot be looked at", template.name)
        data = serialization.dump_error(wrapped)
        with self.core.loop.lock:
            call.release(self.core)
            call.peer.send(
                frame(REPLY, flags, units, call.number, encode_results([(ERROR, data)]))
            )
        if template.max_calls:
            self.count_call(call)

    def wrap(self, call: Call, error: BaseException) -> BaseException:
        """The error of the user's code as it travels."""
        if isinstance(error, exceptions.RayTaskError):
            # An error of a task that this one called.
            cause = error.cause
        else:
            cause = error
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        actor = None
        if self.actor is not None:
            try:
                actor = repr(self.actor)
            except Exception:
                actor = object.__repr__(self.actor)
        name = call.template.spec.get("function") or call.template.name
        wrapped = exceptions.RayTaskError(
            str(name),
            text,
            cause,
            pid=os.getpid(),
            ip=self.core.address,
            actor_repr=actor,
            actor_id=self.actor_id.hex() if self.actor_id else None,
        )
        return wrapped

    def reply_cancelled(self, call: Call) -> None:
        """Answers a call that was not started. With the lock held."""
        error = exceptions.TaskCancelledError(call.task_id().hex())
        call.release(self.core)
        call.peer.send(
            frame(
                REPLY,
                REPLY_ERROR | REPLY_CANCELLED,
                0,
                call.number,
                encode_results([(ERROR, serialization.dump_error(error))]),
            )
        )

    def _exit(self, call: Call, error: BaseException, units: int) -> None:
        intended = not isinstance(error, SystemExit) or not error.code
        if self.actor_id is not None:
            reason = "exit_actor() was called" if intended else f"sys.exit({error.code!r})"
            if call.template.actor_method == "__ray_terminate__":
                data = serialization.dumps(None, 5)
                tag, flags = PLAIN, 0
            else:
                died = exceptions.ActorDiedError(
                    exceptions.ActorDeathCause(
                        actor_id=self.actor_id.hex(),
                        class_name=str(self.actor_meta.get("class_name") or ""),
                        pid=os.getpid(),
                        message=f"The actor ended itself: {reason}.",
                    )
                )
                tag, flags, data = ERROR, REPLY_ERROR, serialization.dump_error(died)
            with self.core.loop.lock:
                call.release(self.core)
                call.peer.send(
                    frame(REPLY, flags, units, call.number, encode_results([(tag, data)]))
                )
                self.core.hub.note(ops.EXITING, {"intended": intended, "reason": reason})
        else:
            reason = f"the task called sys.exit({getattr(error, 'code', None)!r})"
            with self.core.loop.lock:
                self.core.hub.note(ops.EXITING, {"intended": False, "reason": reason})
        code = getattr(error, "code", 0)
        self.leave(code if isinstance(code, int) else 0 if code is None else 1)

    def count_call(self, call: Call) -> None:
        """A function with `max_calls` ends its worker after so many."""
        hash = call.template.hash
        count = self.calls_of[hash] = self.calls_of.get(hash, 0) + 1
        if count < call.template.max_calls:
            return
        with self.core.loop.lock:
            for peer in {call.peer for call in self.queue} | {call.peer}:
                self.give_back(peer, 1 << 30, True)
            self.core.hub.note(ops.EXITING, {"intended": True, "reason": "max_calls"})
        self.leave(0)

    def leave(self, code: int) -> None:
        """Ends this process, after all that was said is written."""
        self.core.drain_output(2.0)
        self.stopping = "exit"
        if threading.get_ident() == self.main_thread:
            raise SystemExit(code)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                pass
        os._exit(code)

    # Generators

    def stream(self, call: Call, value: Any, start: float) -> None:
        """Sends what a generator yields, one by one."""
        template = call.template
        if not hasattr(value, "__next__"):
            try:
                value = iter(value)
            except TypeError:
                raise TypeError(
                    f"{template.name} has num_returns={template.returns!r} and must yield or "
                    f"return an iterable, not {type(value).__name__}."
                ) from None
        limit = int(template.spec.get("backpressure") or 0)
        index = 0
        main = call.thread == self.main_thread
        while call.acknowledged != STOP:
            try:
                self.interrupting = main
                if main:
                    self.check_interrupt()
                item = next(value)
            except StopIteration:
                break
            finally:
                self.interrupting = False
            self.send_item(call, index, item)
            index += 1
            while limit > 0 and index - call.acknowledged >= limit:
                if call.acknowledged == STOP or call.cancelled:
                    break
                with self.core.loop.lock:
                    waiter = call.waiter = Waiter(1)
                    if index - call.acknowledged < limit:
                        break
                self.core.loop.flush()
                self.core.loop.wait(waiter, 0.2)
            if call.cancelled:
                raise exceptions.TaskCancelledError(call.task_id().hex())
        if call.acknowledged == STOP and hasattr(value, "close"):
            value.close()
        self._send_end(call, index, start)

    def send_item(self, call: Call, index: int, item: Any) -> None:
        """One yielded value."""
        result = self.encode(call, index + 1, item)
        self._send_results(call, YIELD, 0, 0, [result], U32.pack(index))

    def _send_end(self, call: Call, count: int, start: float) -> None:
        units = min(65535, int((_perf() - start) * _UNIT))
        value = serialization.dumps(count if call.template.returns != DYNAMIC else None, 5)
        with self.core.loop.lock:
            call.release(self.core)
            call.peer.send(
                frame(REPLY, 0, units, call.number, encode_results([(PLAIN, value)]))
            )
        if call.template.max_calls:
            self.count_call(call)

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

    def take_gpus(self, gpus: List[Any]) -> None:
        """What this process may use: libraries look at the environment."""
        self.gpus = gpus
        if gpus or (self.core.hello.get("resources") or {}).get("GPU"):
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, gpus))

    # Becoming an actor

    def become_actor(self) -> None:
        """Makes the instance that this process is to be."""
        from iorun._core import actor_modes

        status, blob = self.assignment
        self.assignment = None
        actor_modes.construct(self, status, blob)


def _drive(generator: Any) -> Any:
    """The values of an async generator, in a task that is no coroutine's."""
    import asyncio

    loop = asyncio.new_event_loop()
    try:
        while True:
            try:
                yield loop.run_until_complete(generator.__anext__())
            except StopAsyncIteration:
                return
    finally:
        loop.run_until_complete(generator.aclose())
        loop.close()


def _ready() -> bool:
    return True
