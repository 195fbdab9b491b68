"""What goes back to the caller of a call: values, yielded values, errors, and the last word."""

from __future__ import annotations

import logging
import os
import threading
import time
import traceback
from types import GeneratorType
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from iorun import exceptions
from iorun._core import failures, ops, serialization
from iorun._core.calls import (
    ActorExit,
    Call,
    DependencyLost,
)
from iorun._core.frames import (
    ARENA,
    ERROR,
    FULL,
    HEADER,
    IN_ARENA,
    PLAIN,
    REPLY,
    REPLY_CANCELLED,
    REPLY_ERROR,
    REPLY_LOST,
    REPLY_PLAIN,
    REPLY_RETRY,
    U32,
    YIELD,
    encode_results,
    frame,
)
from iorun._core.hub import HubError
from iorun._core.loop import Waiter
from iorun._core.streams import STOP
from iorun._core.tasks import DYNAMIC, id_suffix

if TYPE_CHECKING:
    pass

logger = logging.getLogger("iorun")

_pack = HEADER.pack
_perf = time.perf_counter
_SIMPLE = serialization.SIMPLE
_UNIT = 1e6 / 16
_END = object()

#: How often a worker that takes no more calls looks whether it is still needed, in seconds.
_LINGER = 0.1


class Answers:
    """The part of the executor that answers."""

    # Of Executor; named here for type checkers.
    core: Any
    queue: Any
    actor: Any
    actor_id: Optional[bytes]
    actor_meta: Dict[str, Any]
    calls_of: Dict[bytes, int]
    main_thread: int
    interrupting: bool
    stopping: Optional[str]
    give_back: Any
    mode: Any
    wake: Any
    exit_code: int
    check_interrupt: Any

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
        if value.__class__ is GeneratorType and returns:
            results = self._taken(call, value, returns)
        else:
            if returns == 1:
                values = [value]
            elif returns == 0:
                values = []
            else:
                values = self._split(call, value, returns)
            results = [self.encode(call, index, item) for index, item in enumerate(values)]
        self._send_results(call, REPLY, 0, units, results)
        if call.template.max_calls:
            self.count_call(call)

    def _split(self, call: Call, value: Any, returns: int) -> List[Any]:
        try:
            values = list(value)
        except TypeError:
            raise TypeError(
                f"Task {call.template.name} has num_returns={returns} but returned a single "
                f"{type(value).__name__}, which cannot be taken apart."
            ) from None
        if len(values) != returns:
            raise ValueError(
                f"Task {call.template.name} returned {len(values)} objects, but num_returns="
                f"{returns}."
            )
        return values

    def _taken(
        self, call: Call, generator: Any, returns: int
    ) -> List[Tuple[int, Any, List[bytes]]]:
        """The results of a generator with a number of results: each leaves memory as it comes.

        Where it ends early or fails, what it yielded before is good; the rest is the error.
        """
        results: List[Tuple[int, Any, List[bytes]]] = []
        main = call.thread == self.main_thread
        try:
            while len(results) < returns:
                self.interrupting = main
                try:
                    item = next(generator)
                except StopIteration:
                    raise ValueError(
                        f"Task {call.template.name} yielded {len(results)} objects, but "
                        f"num_returns={returns}."
                    ) from None
                finally:
                    self.interrupting = False
                results.append(self.encode(call, len(results), item))
                del item
        except Exception as error:
            if not results or call.cancelled or call.template.retries_on(error):
                raise
            data = serialization.dump_error(self.wrap(call, error))
            results += [(ERROR, data, [])] * (returns - len(results))
            return results
        try:
            surplus = next(generator, _END) is not _END
        except Exception:
            # Everything that was promised is there: nobody is left to raise it to.
            logger.exception("%s raised after all of its results.", call.template.name)
            return results
        if surplus:
            logger.error(
                "%s yielded more than num_returns=%d objects; the rest is dropped.",
                call.template.name,
                returns,
            )
            generator.close()
        return results

    def encode(self, call: Call, index: int, value: Any) -> Tuple[int, Any, List[bytes]]:
        """A result: tag, bytes (of FULL: a Serialized), references in it. Without the lock."""
        core = self.core
        try:
            serialized = serialization.serialize(value)
        except TypeError as error:
            raise TypeError(
                f"The result of {call.template.name} cannot be sent. {error}"
            ) from error
        if serialized.plain and len(serialized.data) <= core.inline_limit:
            return PLAIN, serialized.data, []
        refs = [ref.binary() for ref in serialized.refs]
        size = serialized.size()
        if size <= core.inline_limit:
            return FULL, serialized, refs
        id = bytes(call.peer.worker) + id_suffix(call.number, index)
        with core.loop.lock:
            table = core.objects.table_for(refs, None)
        core.arena.write(id, size, serialized.pieces(table), (call.peer.node, call.peer.worker))
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
            call.peer.send(frame(kind, flags, units, call.number, head + encode_results(encoded)))

    def reply_error(self, call: Call, error: BaseException, start: float) -> None:
        """Answers with an error."""
        template = call.template
        units = min(65535, int((_perf() - start) * _UNIT))
        flags = REPLY_ERROR
        if isinstance(error, (ActorExit, SystemExit, exceptions.AsyncioActorExit)):
            self._exit(call, error, units)
            return
        if isinstance(error, DependencyLost):
            flags |= REPLY_LOST
            wrapped: BaseException = self.core.lost_error(error.id)
            if isinstance(error.reason, HubError) and not failures.is_lost(error.reason):
                # It is somewhere: only the call is to be made again.
                wrapped = failures.of_transfer(error.reason)
                wrapped.object_ref_hex = error.id.hex()  # type: ignore[attr-defined]
        elif (
            call.cancelled
            and (
                isinstance(error, (KeyboardInterrupt, exceptions.TaskCancelledError))
                or type(error).__name__ == "CancelledError"
            )
            # A task that interrupts itself counts as cancelled, too.
            or (isinstance(error, KeyboardInterrupt) and self.actor_id is None)
        ):
            flags |= REPLY_CANCELLED
            # It ran, and could have said something else: programs catch this as an error of its own,
            # or as what it is.
            wrapped = self.wrap(call, exceptions.TaskCancelledError(call.task_id().hex()))
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
            call.peer.send(frame(REPLY, flags, units, call.number, encode_results([(ERROR, data)])))
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
        name = call.template.name
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
        error: Exception = exceptions.TaskCancelledError(call.task_id().hex())
        if self.actor_id is not None:
            error = exceptions.RayTaskError(call.template.name, str(error), error)
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
                # A crash is not answered: its callers may have retries left for it.
                if intended:
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
        core = self.core
        core.objects.drain()
        with core.loop.lock:
            # An agent of before would keep what this worker holds for as long.
            stays = bool(core.hello.get("retires")) and core.is_needed()
            for peer in {call.peer for call in self.queue} | {call.peer}:
                self.give_back(peer, 1 << 30, True, stays)
            core.hub.note(ops.EXITING, {"intended": True, "reason": "max_calls", "stays": stays})
        # What it holds is free for others; the process stays while somebody may ask for an object
        # that it owns, or waits for a task that it has started.
        while stays:
            core.loop.wait(Waiter(1), _LINGER)
            core.objects.drain()
            with core.loop.lock:
                # From whoever got this worker before the agent knew.
                for peer in {call.peer for call in self.queue}:
                    self.give_back(peer, 1 << 30, True, True)
                stays = core.is_needed()
        self.leave(0)

    def leave(self, code: int) -> None:
        """Ends this process, after all that was said is written."""
        self.core.drain_output(2.0)
        self.stopping = "exit"
        self.exit_code = code
        if threading.get_ident() != self.main_thread:
            # The main thread runs what the program has registered for the end.
            with self.core.loop.lock:
                self.wake()
            self.core.loop.tell_poller()
            if hasattr(self.mode, "stop"):
                self.mode.stop()
        raise SystemExit(code)

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
            while self.is_ahead(call):
                with self.core.loop.lock:
                    waiter = call.waiter = Waiter(1)
                    if not self.is_ahead(call):
                        break
                self.core.loop.flush()
                self.core.loop.wait(waiter, 0.2)
            if call.cancelled:
                raise exceptions.TaskCancelledError(call.task_id().hex())
        if call.acknowledged == STOP and hasattr(value, "close"):
            value.close()
        self._send_end(call, index, start)

    def is_ahead(self, call: Call) -> bool:
        """Whether a generator has to wait until what was yielded is taken: by it, by its actor."""
        if call.acknowledged == STOP or call.cancelled:
            return False
        spec = call.template.spec
        limit = int(spec.get("backpressure") or 0)
        if limit > 0 and call.sent - call.acknowledged >= limit:
            return True
        limit = int(spec.get("actor_backpressure") or 0)
        if limit <= 0:
            return False
        # One that was stopped has acknowledged more than it has sent.
        calls = list(self.running.values())
        return sum(max(0, other.sent - other.acknowledged) for other in calls) >= limit

    def send_item(self, call: Call, index: int, item: Any) -> None:
        """One yielded value."""
        call.sent = index + 1
        result = self.encode(call, index + 1, item)
        self._send_results(call, YIELD, 0, 0, [result], U32.pack(index))

    def _send_end(self, call: Call, count: int, start: float) -> None:
        units = min(65535, int((_perf() - start) * _UNIT))
        value = serialization.dumps(count if call.template.returns != DYNAMIC else None, 5)
        with self.core.loop.lock:
            call.release(self.core)
            call.peer.send(frame(REPLY, 0, units, call.number, encode_results([(PLAIN, value)])))
        if call.template.max_calls:
            self.count_call(call)
