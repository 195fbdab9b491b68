"""Results of a pool's work that come later: one value, many, or one after the other."""

from __future__ import annotations

import collections
import itertools
import logging
import queue
import threading
import time
from multiprocessing import TimeoutError
from typing import Any, Callable, Iterable, List, Optional

__all__ = [
    "AsyncResult",
    "Collector",
    "IMapIterator",
    "OrderedIMapIterator",
    "PoolTaskError",
    "UnorderedIMapIterator",
]

logger = logging.getLogger(__name__)


class PoolTaskError(Exception):
    """Stands where a call raised; `underlying` is the error."""

    def __init__(self, underlying: BaseException):
        super().__init__(underlying)
        self.underlying = underlying


class Collector:
    """One thread a pool that learns of finished chunks and runs the users' callbacks.

    Callbacks may themselves wait for results, which the runtime's I/O thread must never do.
    """

    def __init__(self) -> None:
        self._finished: queue.SimpleQueue = queue.SimpleQueue()
        self._thread: Optional[threading.Thread] = None
        self._lock = threading.Lock()
        self._open = 0
        self._stopping = False

    def watch(self, ref: Any, tell: Callable[[List[Any]], None]) -> None:
        """Calls `tell` on the collector's thread with the chunk's results once they are there."""
        with self._lock:
            self._open += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="iorun-pool", daemon=True)
                self._thread.start()
        ref.future().add_done_callback(lambda future: self._finished.put((future, tell)))

    def stop(self) -> None:
        """Ends the thread once it has told of everything: chunks of dead processes fail soon."""
        with self._lock:
            self._stopping = True
            self._finished.put(None)

    def _run(self) -> None:
        while True:
            item = self._finished.get()
            if item is not None:
                future, tell = item
                error = future.exception()
                try:
                    tell(future.result() if error is None else [error])
                except Exception:
                    logger.exception("A callback of a pool's result failed.")
            with self._lock:
                self._open -= item is not None
                if self._stopping and not self._open:
                    self._thread = None
                    return


class AsyncResult:
    """The results of `apply_async` and the like."""

    def __init__(
        self,
        collector: Collector,
        refs: List[Any],
        callback: Optional[Callable] = None,
        error_callback: Optional[Callable] = None,
        single_result: bool = False,
    ):
        self._chunks: List[Any] = [None] * len(refs)
        self._missing = len(refs)
        self._error: Optional[BaseException] = None
        self._single = single_result
        self._callback = callback
        self._error_callback = error_callback
        self._ready = threading.Event()
        # A ref of the collector's: the chunks' refs must live until they are told of.
        self._refs = refs
        if not refs:
            self._finish()
        for index, ref in enumerate(refs):
            collector.watch(ref, lambda results, index=index: self._tell(index, results))

    def _tell(self, index: int, results: List[Any]) -> None:
        self._chunks[index] = results
        failed = next((r for r in results if isinstance(r, Exception)), None)
        if failed is not None and self._error is None:
            self._error = failed.underlying if isinstance(failed, PoolTaskError) else failed
            if self._error_callback is not None:
                self._error_callback(self._error)
        self._missing -= 1
        if self._missing == 0:
            self._finish()

    def _finish(self) -> None:
        try:
            if self._error is None and self._callback is not None:
                self._callback(self._value())
        finally:
            self._ready.set()

    def _value(self) -> Any:
        values = list(itertools.chain.from_iterable(self._chunks))
        return values[0] if self._single else values

    def wait(self, timeout: Optional[float] = None) -> None:
        """Waits until the results are there, or `timeout` seconds."""
        self._ready.wait(timeout)

    def get(self, timeout: Optional[float] = None) -> Any:
        """The results; raises the first error, or `TimeoutError` after `timeout` seconds."""
        self.wait(timeout)
        if not self._ready.is_set():
            raise TimeoutError
        for chunk in self._chunks:
            for result in chunk:
                if isinstance(result, PoolTaskError):
                    raise result.underlying
                if isinstance(result, Exception):
                    raise result
        return self._value()

    def ready(self) -> bool:
        """Whether all results are there."""
        return self._ready.is_set()

    def successful(self) -> bool:
        """Whether no call raised; `ValueError` before the results are there."""
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return self._error is None


class IMapIterator:
    """Results of `imap`: submits a chunk an actor, and another one for each that is finished."""

    def __init__(
        self,
        collector: Collector,
        submit: Callable[[List[Any], int], Any],
        width: int,
        iterable: Iterable[Any],
        chunksize: int,
    ):
        self._collector = collector
        self._submit = submit
        self._width = width
        self._items = iter(iterable)
        self._chunksize = chunksize
        self._submitted = 0
        self._told = 0
        self._exhausted = False
        self._values: collections.deque = collections.deque()
        self._arrived: queue.SimpleQueue = queue.SimpleQueue()
        self._refs: dict = {}
        for _ in range(width):
            self._submit_next()

    def _submit_next(self) -> None:
        if self._exhausted:
            return
        chunk = list(itertools.islice(self._items, self._chunksize))
        if not chunk:
            self._exhausted = True
            return
        index = self._submitted
        self._submitted += 1
        ref = self._refs[index] = self._submit(chunk, index % self._width)
        self._collector.watch(ref, lambda results: self._arrived.put((index, results)))

    def __iter__(self) -> "IMapIterator":
        return self

    def __next__(self) -> Any:
        return self.next()

    def next(self, timeout: Optional[float] = None) -> Any:
        """The next result; a call that raised yields a `PoolTaskError`, as Ray does.

        Raises `StopIteration` at the end, `TimeoutError` after `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._values:
            if self._exhausted and self._told == self._submitted:
                raise StopIteration
            try:
                index, results = self._arrived.get(
                    timeout=None if deadline is None else max(0.0, deadline - time.monotonic())
                )
            except queue.Empty:
                raise TimeoutError from None
            del self._refs[index]
            self._told += 1
            self._submit_next()
            self._arrange(index, results)
        return self._values.popleft()

    def _arrange(self, index: int, results: List[Any]) -> None:
        raise NotImplementedError


class OrderedIMapIterator(IMapIterator):
    """Results in the order of the items."""

    def __init__(self, *args: Any) -> None:
        self._early: dict = {}
        self._next_index = 0
        super().__init__(*args)

    def _arrange(self, index: int, results: List[Any]) -> None:
        self._early[index] = results
        while self._next_index in self._early:
            self._values.extend(self._early.pop(self._next_index))
            self._next_index += 1


class UnorderedIMapIterator(IMapIterator):
    """Results in the order in which they come."""

    def _arrange(self, index: int, results: List[Any]) -> None:
        self._values.extend(results)
