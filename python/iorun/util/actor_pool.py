"""Spreads values over a fixed set of actors, one value an actor at a time."""

from __future__ import annotations

from collections import deque
from typing import Any, Callable, Iterable, Iterator, List, Optional

import iorun

__all__ = ["ActorPool"]


class ActorPool:
    """Hands work to whichever of its actors is free.

    `fn` in its methods is called with (actor, value) and returns the ref of the result, as in
    `pool.map(lambda actor, value: actor.double.remote(value), [1, 2, 3])`.
    """

    def __init__(self, actors: List[Any]):
        self._idle = list(actors)
        # ref -> (index of the submission, actor)
        self._running: dict = {}
        # index -> ref, of submissions whose result nobody has taken
        self._by_index: dict = {}
        self._next_submit = 0
        self._next_return = 0
        self._waiting: deque = deque()

    def map(self, fn: Callable[[Any, Any], Any], values: Iterable[Any]) -> Iterator[Any]:
        """Submits all values, and returns an iterator of the results in the values' order.

        Results of earlier submissions that nobody took are thrown away.
        """
        while self.has_next():
            try:
                self.get_next(timeout=0, ignore_if_timedout=True)
            except TimeoutError:
                pass
        for value in values:
            self.submit(fn, value)

        def results() -> Iterator[Any]:
            while self.has_next():
                yield self.get_next()

        return results()

    def map_unordered(self, fn: Callable[[Any, Any], Any], values: Iterable[Any]) -> Iterator[Any]:
        """As `map`, with the results in the order in which they come."""
        while self.has_next():
            try:
                self.get_next_unordered(timeout=0, ignore_if_timedout=True)
            except TimeoutError:
                pass
        for value in values:
            self.submit(fn, value)

        def results() -> Iterator[Any]:
            while self.has_next():
                yield self.get_next_unordered()

        return results()

    def submit(self, fn: Callable[[Any, Any], Any], value: Any) -> None:
        """Runs `fn` on a free actor, or when the next one becomes free."""
        if not self._idle:
            self._waiting.append((fn, value))
            return
        actor = self._idle.pop()
        result = fn(actor, value)
        key = tuple(result) if isinstance(result, list) else result
        self._running[key] = (self._next_submit, actor)
        self._by_index[self._next_submit] = result
        self._next_submit += 1

    def has_next(self) -> bool:
        """Whether a result is still to be taken."""
        return bool(self._running)

    def get_next(self, timeout: Optional[float] = None, ignore_if_timedout: bool = False) -> Any:
        """The next result in the order of the submissions; waits at most `timeout` seconds.

        Raises `TimeoutError`; the result can be asked for again, unless `ignore_if_timedout`.
        """
        if not self.has_next():
            raise StopIteration("No more results to get")
        if self._next_return >= self._next_submit:
            raise ValueError("It is not allowed to call get_next() after get_next_unordered().")
        result = self._by_index[self._next_return]
        late = timeout is not None and not self._wait([result], timeout)
        if late and not ignore_if_timedout:
            raise TimeoutError("Timed out waiting for result")
        del self._by_index[self._next_return]
        self._next_return += 1
        key = tuple(result) if isinstance(result, list) else result
        _, actor = self._running.pop(key)
        return self._take(result, actor, late)

    def get_next_unordered(
        self, timeout: Optional[float] = None, ignore_if_timedout: bool = False
    ) -> Any:
        """Any result that is ready; waits at most `timeout` seconds.

        Raises `TimeoutError`; with `ignore_if_timedout` one of the late results is given up.
        """
        if not self.has_next():
            raise StopIteration("No more results to get")
        ready = self._wait(list(self._running), timeout)
        if not ready and not ignore_if_timedout:
            raise TimeoutError("Timed out waiting for result")
        result = ready[0] if ready else next(iter(self._running))
        index, actor = self._running.pop(result)
        del self._by_index[index]
        self._next_return = max(self._next_return, index + 1)
        return self._take(result, actor, late=not ready)

    @staticmethod
    def _wait(results: List[Any], timeout: Optional[float]) -> List[Any]:
        ready, _ = iorun.wait(results, num_returns=1, timeout=timeout)
        return ready

    def _take(self, result: Any, actor: Any, late: bool) -> Any:
        if late:
            self._give_back(actor)
            raise TimeoutError(f"Timed out waiting for result. The task {result} has been ignored.")
        alive = True
        try:
            return iorun.get(list(result) if isinstance(result, tuple) else result)
        except iorun.exceptions.ActorDiedError:
            # A dead actor that went back would swallow all further work at once.
            alive = False
            raise
        finally:
            if alive:
                self._give_back(actor)

    def _give_back(self, actor: Any) -> None:
        self._idle.append(actor)
        if self._waiting:
            self.submit(*self._waiting.popleft())

    def has_free(self) -> bool:
        """Whether an actor is free and no submission waits for one."""
        return bool(self._idle) and not self._waiting

    def pop_idle(self) -> Any:
        """Takes a free actor out of the pool; None where there is none."""
        return self._idle.pop() if self.has_free() else None

    def push(self, actor: Any) -> None:
        """Adds an actor to the pool."""
        busy = [running for _, running in self._running.values()]
        if actor in self._idle or actor in busy:
            raise ValueError("Actor already belongs to current ActorPool")
        self._give_back(actor)
