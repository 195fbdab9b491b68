"""`Pool`: the standard library's pool on actors."""

from __future__ import annotations

import logging
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

import iorun
from iorun.util.debug import log_once

from .results import (
    AsyncResult,
    Collector,
    OrderedIMapIterator,
    PoolTaskError,
    UnorderedIMapIterator,
)

__all__ = ["AsyncResult", "Pool", "PoolTaskError"]

logger = logging.getLogger(__name__)


class _PoolActor:
    """One of the pool's processes."""

    def __init__(self, initializer: Optional[Callable], initargs: Optional[Iterable]):
        if initializer is not None:
            initializer(*(initargs or ()))

    def ping(self) -> None:
        """Answers once the initializer has run."""

    def run_batch(self, func: Callable, batch: List[Tuple]) -> List[Any]:
        results: List[Any] = []
        for args, kwargs in batch:
            try:
                results.append(func(*(args or ()), **(kwargs or {})))
            except Exception as error:
                results.append(PoolTaskError(error))
        return results


class Pool:
    """A pool of `processes` actors (default: as many as the network has CPUs).

    The methods are those of `multiprocessing.Pool`. `maxtasksperchild` counts chunks; `context` is
    taken and ignored. `ray_remote_args` are options of the actors, `ray_address` is what `init`
    is called with where it was not yet.
    """

    def __init__(
        self,
        processes: Optional[int] = None,
        initializer: Optional[Callable] = None,
        initargs: Optional[Iterable] = None,
        maxtasksperchild: Optional[int] = None,
        context: Any = None,
        ray_address: Optional[str] = None,
        ray_remote_args: Optional[Dict[str, Any]] = None,
    ):
        self._closed = False
        self._initializer = initializer
        self._initargs = tuple(initargs) if initargs is not None else None
        self._max_chunks = maxtasksperchild or -1
        self._collector = Collector()
        self._ending: List[Any] = []
        self._turn = 0
        if context and log_once("iorun.pool.context"):
            logger.warning("The 'context' argument of Pool is not supported and ignored.")
        count = self._process_count(processes, ray_address)
        options = {"num_cpus": 0, **(ray_remote_args or {})}
        self._actor_class = iorun.remote(_PoolActor).options(**options)
        self._actors = [[self._new_actor(), 0] for _ in range(count)]
        iorun.get([actor.ping.remote() for actor, _ in self._actors])

    @staticmethod
    def _process_count(processes: Optional[int], address: Optional[str]) -> int:
        if processes is not None and processes <= 0:
            raise ValueError("Processes in the pool must be >0.")
        if not iorun.is_initialized():
            if address is None or address == "local":
                iorun.init(address=address, num_cpus=processes)
            else:
                iorun.init(address=address)
        cpus = int(iorun.cluster_resources().get("CPU", 0))
        if processes is None:
            processes = max(1, cpus)
        if cpus < processes:
            raise ValueError(
                f"Tried to start a pool with {processes} processes on an existing network, but "
                f"there are only {cpus} CPUs in it."
            )
        return processes

    def _new_actor(self) -> Any:
        return self._actor_class.remote(self._initializer, self._initargs)

    def _run(self, index: int, func: Callable, batch: List[Tuple]) -> Any:
        entry = self._actors[index]
        ref = entry[0].run_batch.remote(func, batch)
        entry[1] += 1
        if entry[1] == self._max_chunks:
            self._end(entry[0])
            self._actors[index] = [self._new_actor(), 0]
        return ref

    def _end(self, actor: Any) -> None:
        # Queued behind the actor's work: it ends when that is done.
        self._ending.append(actor.__ray_terminate__.remote())

    def _next_index(self) -> int:
        self._turn = (self._turn + 1) % len(self._actors)
        return self._turn

    def _check_running(self) -> None:
        if self._closed:
            raise ValueError("Pool not running")

    def apply(
        self, func: Callable, args: Optional[Tuple] = None, kwargs: Optional[Dict] = None
    ) -> Any:
        """Calls the function in one of the processes and returns its result."""
        return self.apply_async(func, args, kwargs).get()

    def apply_async(
        self,
        func: Callable,
        args: Optional[Tuple] = None,
        kwargs: Optional[Dict] = None,
        callback: Optional[Callable[[Any], None]] = None,
        error_callback: Optional[Callable[[BaseException], None]] = None,
    ) -> AsyncResult:
        """Calls the function in one of the processes."""
        self._check_running()
        ref = self._run(self._next_index(), func, [(args, kwargs)])
        return AsyncResult(self._collector, [ref], callback, error_callback, single_result=True)

    def _chunk_size(self, count: int) -> int:
        # The standard library's rule: four chunks a process.
        size, extra = divmod(count, len(self._actors) * 4)
        return max(1, size + bool(extra))

    def _map_async(
        self,
        func: Callable,
        iterable: Iterable,
        chunksize: Optional[int],
        callback: Optional[Callable] = None,
        error_callback: Optional[Callable] = None,
        star: bool = False,
    ) -> AsyncResult:
        self._check_running()
        items = list(iterable)
        size = chunksize or self._chunk_size(len(items))
        refs = []
        for start in range(0, len(items), size):
            chunk = [
                (tuple(item) if star else (item,), None) for item in items[start : start + size]
            ]
            refs.append(self._run(len(refs) % len(self._actors), func, chunk))
        return AsyncResult(self._collector, refs, callback, error_callback)

    def map(self, func: Callable, iterable: Iterable, chunksize: Optional[int] = None) -> List[Any]:
        """Calls the function for each item; returns the results in the items' order."""
        return self._map_async(func, iterable, chunksize).get()

    def map_async(
        self,
        func: Callable,
        iterable: Iterable,
        chunksize: Optional[int] = None,
        callback: Optional[Callable[[List], None]] = None,
        error_callback: Optional[Callable[[BaseException], None]] = None,
    ) -> AsyncResult:
        """`map` that does not wait."""
        return self._map_async(func, iterable, chunksize, callback, error_callback)

    def starmap(
        self, func: Callable, iterable: Iterable, chunksize: Optional[int] = None
    ) -> List[Any]:
        """`map` of tuples of arguments."""
        return self._map_async(func, iterable, chunksize, star=True).get()

    def starmap_async(
        self,
        func: Callable,
        iterable: Iterable,
        chunksize: Optional[int] = None,
        callback: Optional[Callable[[List], None]] = None,
        error_callback: Optional[Callable[[BaseException], None]] = None,
    ) -> AsyncResult:
        """`starmap` that does not wait."""
        return self._map_async(func, iterable, chunksize, callback, error_callback, star=True)

    def imap(
        self, func: Callable, iterable: Iterable, chunksize: Optional[int] = 1
    ) -> OrderedIMapIterator:
        """`map` that reads the items as it goes, one chunk a process."""
        return OrderedIMapIterator(*self._imap_arguments(func, iterable, chunksize))

    def imap_unordered(
        self, func: Callable, iterable: Iterable, chunksize: Optional[int] = 1
    ) -> UnorderedIMapIterator:
        """`imap` with the results in the order in which they come."""
        return UnorderedIMapIterator(*self._imap_arguments(func, iterable, chunksize))

    def _imap_arguments(
        self, func: Callable, iterable: Iterable, chunksize: Optional[int]
    ) -> Tuple:
        self._check_running()
        if chunksize is None:
            chunksize = (
                self._chunk_size(len(iterable))  # type: ignore[arg-type]
                if hasattr(iterable, "__len__")
                else 1
            )

        def submit(items: List[Any], index: int) -> Any:
            return self._run(index, func, [((item,), None) for item in items])

        return self._collector, submit, len(self._actors), iterable, chunksize

    def __enter__(self) -> "Pool":
        self._check_running()
        return self

    def __exit__(self, *_: Any) -> None:
        self.terminate()

    def close(self) -> None:
        """Takes no more work; what is submitted is done, then the processes end."""
        if self._closed:
            return
        for actor, _ in self._actors:
            self._end(actor)
        self._closed = True

    def terminate(self) -> None:
        """Ends the processes at once."""
        self.close()
        for actor, _ in self._actors:
            iorun.kill(actor)
        self._collector.stop()

    def join(self) -> None:
        """Waits until the processes of a closed pool have ended."""
        if not self._closed:
            raise ValueError("Pool is still running")
        if self._ending:
            iorun.wait(self._ending, num_returns=len(self._ending))
        self._collector.stop()
