"""Iterators that run in the process that reads them."""

from __future__ import annotations

import collections
import random
import threading
from typing import Any, Callable, Iterable, Iterator, List, Optional, Sequence, Union

from iorun.util.iter_metrics import MetricsContext, SharedMetrics

__all__ = ["LocalIterator", "NotReady"]

#: How many items a union takes at a time from an iterator of weight `"*"`.
_MOST_AT_A_TIME = 100


class NotReady:
    """Comes in place of an item where the next one is not there yet and nobody shall wait.

    A union of iterators asks each in turn. Steps hand it on as it is.
    """


Step = Callable[[Iterator[Any]], Iterator[Any]]


class LocalIterator:
    """A chain of steps over a source. It can be serialized until the first item is taken.

    The source is a function: it gets how many seconds (None: any) to wait before it yields
    `NotReady`.
    """

    _of_thread = threading.local()

    def __init__(
        self,
        base_iterator: Callable[[Optional[float]], Iterable[Any]],
        shared_metrics: SharedMetrics,
        local_transforms: Optional[List[Step]] = None,
        timeout: Optional[float] = None,
        name: Optional[str] = None,
    ) -> None:
        self.base_iterator = base_iterator
        self.shared_metrics = shared_metrics
        self.local_transforms = local_transforms or []
        self.timeout = timeout
        self.name = name or "unknown"
        self.built_iterator: Optional[Iterator[Any]] = None

    @staticmethod
    def get_metrics() -> MetricsContext:
        """The context of the iterator whose function runs now; `ValueError` elsewhere."""
        metrics = getattr(LocalIterator._of_thread, "metrics", None)
        if metrics is None:
            raise ValueError("Cannot access context outside an iterator.")
        return metrics

    def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        LocalIterator._of_thread.metrics = self.shared_metrics.get()
        return function(*args)

    def __iter__(self) -> Iterator[Any]:
        if self.built_iterator is None:
            built = iter(self.base_iterator(self.timeout))
            for step in self.local_transforms:
                built = step(built)
            self.built_iterator = built
        return self.built_iterator

    def __next__(self) -> Any:
        return next(iter(self))

    def __repr__(self) -> str:
        return f"LocalIterator[{self.name}]"

    def _with(self, step: Step, name: str) -> "LocalIterator":
        return LocalIterator(
            self.base_iterator,
            self.shared_metrics,
            [*self.local_transforms, step],
            name=self.name + name,
        )

    def transform(self, fn: Callable[[Iterable[Any]], Iterable[Any]]) -> "LocalIterator":
        """What the generator function makes of the items."""
        return self._with(lambda items: iter(fn(items)), ".transform()")

    def for_each(
        self,
        fn: Callable[[Any], Any],
        max_concurrency: int = 1,
        resources: Optional[dict] = None,
    ) -> "LocalIterator":
        """What the function makes of each item.

        With another concurrency than 1 the calls are tasks with the given options, so many at a
        time (0: all), and their results come in the order in which they end.
        """
        if max_concurrency != 1:
            return self._with(_as_tasks(fn, max_concurrency, resources or {}), ".for_each()")
        on_fetch = getattr(fn, "_on_fetch_start", None)

        def step(items: Iterator[Any]) -> Iterator[Any]:
            told = False
            while True:
                if on_fetch is not None and not told:
                    self._call(on_fetch)
                    told = True
                try:
                    item = next(items)
                except StopIteration:
                    return
                if isinstance(item, NotReady):
                    yield item
                    continue
                told = False
                result = self._call(fn, item)
                while isinstance(result, NotReady):
                    yield result
                    result = self._call(fn, item)
                yield result

        return self._with(step, ".for_each()")

    def filter(self, fn: Callable[[Any], bool]) -> "LocalIterator":
        """The items of which the function is true."""

        def step(items: Iterator[Any]) -> Iterator[Any]:
            for item in items:
                if isinstance(item, NotReady) or self._call(fn, item):
                    yield item

        return self._with(step, ".filter()")

    def batch(self, n: int) -> "LocalIterator":
        """Lists of `n` items; the last one may have less."""

        def step(items: Iterator[Any]) -> Iterator[Any]:
            batch: List[Any] = []
            for item in items:
                if isinstance(item, NotReady):
                    yield item
                    continue
                batch.append(item)
                if len(batch) >= n:
                    yield batch
                    batch = []
            if batch:
                yield batch

        return self._with(step, f".batch({n})")

    def flatten(self) -> "LocalIterator":
        """The items of the items."""

        def step(items: Iterator[Any]) -> Iterator[Any]:
            for item in items:
                if isinstance(item, NotReady):
                    yield item
                else:
                    yield from item

        return self._with(step, ".flatten()")

    def combine(self, fn: Callable[[Any], Iterable[Any]]) -> "LocalIterator":
        """`for_each(fn).flatten()`."""
        combined = self.for_each(fn).flatten()
        combined.name = f"{self.name}.combine()"
        return combined

    def shuffle(self, shuffle_buffer_size: int, seed: Optional[int] = None) -> "LocalIterator":
        """The items in a random order, each drawn from so many that are kept at a time."""
        chance = random.Random(seed)

        def step(items: Iterator[Any]) -> Iterator[Any]:
            kept: List[Any] = []
            for item in items:
                if isinstance(item, NotReady):
                    yield item
                    continue
                kept.append(item)
                if len(kept) >= shuffle_buffer_size:
                    yield kept.pop(chance.randrange(len(kept)))
            while kept:
                yield kept.pop(chance.randrange(len(kept)))

        about = f"shuffle_buffer_size={shuffle_buffer_size}, seed={seed}"
        return self._with(step, f".shuffle({about})")

    def zip_with_source_actor(self) -> "LocalIterator":
        """Pairs of the actor that made the item, and the item; after `gather_async`."""

        def pair(item: Any) -> Any:
            actor = LocalIterator.get_metrics().current_actor
            if actor is None:
                raise ValueError("Could not identify source actor of item")
            return actor, item

        zipped = self.for_each(pair)
        zipped.name = f"{self.name}.zip_with_source_actor()"
        return zipped

    def take(self, n: int) -> List[Any]:
        """The next items, at most `n`."""
        taken: List[Any] = []
        for item in self:
            taken.append(item)
            if len(taken) >= n:
                break
        return taken

    def show(self, n: int = 20) -> None:
        """Prints the next items, at most `n`."""
        for item in self.take(n):
            print(item)

    def duplicate(self, n: int) -> List["LocalIterator"]:
        """Iterators that each get all items. One that is ahead waits for the others."""
        if n < 2:
            raise ValueError("Number of copies must be >= 2")
        queues: List[collections.deque] = [collections.deque() for _ in range(n)]

        def source_of(queue: collections.deque) -> Callable[[Optional[float]], Iterator[Any]]:
            def source(timeout: Optional[float]) -> Iterator[Any]:
                while True:
                    if len(queue) < max(map(len, queues)):
                        yield NotReady()
                        continue
                    if not queue:
                        self.timeout = timeout
                        try:
                            item = next(self)
                        except StopIteration:
                            return
                        for other in queues:
                            other.append(item)
                    yield queue.popleft()

            return source

        return [
            LocalIterator(source_of(queue), self.shared_metrics, name=f"{self.name}.duplicate[{i}]")
            for i, queue in enumerate(queues)
        ]

    def union(
        self,
        *others: "LocalIterator",
        deterministic: bool = False,
        round_robin_weights: Optional[Sequence[Union[float, str]]] = None,
    ) -> "LocalIterator":
        """The items of this iterator and the others, from each in turn.

        `deterministic` waits for the one whose turn it is; else it is passed over when it has
        nothing. With weights so many items of each are taken at a time, and as many as there are
        where the weight is `"*"`.
        """
        for other in others:
            if not isinstance(other, LocalIterator):
                raise ValueError(f"other must be of type LocalIterator, got {type(other)}")
        parents = [self, *others]
        if round_robin_weights is None:
            weights: List[Any] = [1] * len(parents)
            timeouts = [None if deterministic else 0.0] * len(parents)
        else:
            weights = list(round_robin_weights)
            if len(weights) != len(parents):
                raise ValueError(
                    "Length of round robin weights must equal number of iterators total."
                )
            timeouts = [0.0 if weight == "*" else None for weight in weights]
        metrics = SharedMetrics(parents=[parent.shared_metrics for parent in parents])
        sources = [
            (weight, LocalIterator(p.base_iterator, metrics, p.local_transforms, timeout))
            for weight, p, timeout in zip(weights, parents, timeouts)
        ]

        def source(timeout: Optional[float]) -> Iterator[Any]:
            active = list(sources)
            while active:
                for entry in list(active):
                    weight, items = entry
                    try:
                        for _ in range(_rounded(weight)):
                            item = next(items)
                            if not isinstance(item, NotReady):
                                yield item
                                continue
                            if timeout is not None:
                                yield item
                            break
                    except StopIteration:
                        active.remove(entry)

        return LocalIterator(source, metrics, name=f"LocalUnion[{', '.join(map(repr, parents))}]")


def _rounded(weight: Union[float, str]) -> int:
    """A whole number that is the weight on average."""
    if isinstance(weight, str):
        return _MOST_AT_A_TIME
    whole = int(weight)
    return whole + (random.random() < weight - whole)


def _as_tasks(fn: Callable[[Any], Any], most: int, options: dict) -> Step:
    def step(items: Iterator[Any]) -> Iterator[Any]:
        import iorun

        task = iorun.remote(fn).options(**options)
        running: List[Any] = []
        for item in items:
            if isinstance(item, NotReady):
                yield item
                continue
            if most and len(running) >= most:
                done, running = iorun.wait(running)
                yield from iorun.get(done)
            running.append(task.remote(item))
        while running:
            done, running = iorun.wait(running)
            yield from iorun.get(done)

    return step
