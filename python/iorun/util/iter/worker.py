"""The actor that makes the items of one shard."""

from __future__ import annotations

import collections
import time
from typing import Any, Callable, Deque, Dict, Iterator, List, Optional

from iorun.util.iter.local import LocalIterator
from iorun.util.iter_metrics import SharedMetrics

__all__ = ["ParallelIteratorWorker"]


class ParallelIteratorWorker:
    """What `from_actors` wants of the class of its actors; one's own class inherits it."""

    def __init__(self, item_generator: Any, repeat: bool) -> None:
        """Takes what can be iterated over, or a function that returns such; `repeat`: for ever."""
        self.item_generator = _repeated(item_generator) if repeat else _made(item_generator)
        self.local_it: Optional[Iterator[Any]] = None
        self._dealt: Dict[int, Deque[Any]] = collections.defaultdict(collections.deque)

    def par_iter_init(self, transforms: List[Callable[[LocalIterator], LocalIterator]]) -> None:
        """Puts the steps over the items."""
        chain = LocalIterator(lambda timeout: self.item_generator, SharedMetrics())
        for transform in transforms:
            chain = transform(chain)
        self.local_it = iter(chain)

    def par_iter_next(self) -> Any:
        """The next item; raises `StopIteration` after the last."""
        if self.local_it is None:
            raise AssertionError("must call par_iter_init()")
        return next(self.local_it)

    def par_iter_next_batch(self, batch_ms: int) -> List[Any]:
        """The items of so many milliseconds; one item where that is 0."""
        return _for_a_while(self.par_iter_next, batch_ms)

    def par_iter_slice(self, step: int, start: int) -> Any:
        """The next of every `step` items, the `start`th."""
        mine = self._dealt[start]
        if not mine:
            for index in range(step):
                try:
                    self._dealt[index].append(self.par_iter_next())
                except StopIteration:
                    break
        if not mine:
            raise StopIteration
        return mine.popleft()

    def par_iter_slice_batch(self, step: int, start: int, batch_ms: int) -> List[Any]:
        """Such items of so many milliseconds."""
        return _for_a_while(lambda: self.par_iter_slice(step, start), batch_ms)


def _made(items: Any) -> Any:
    return items() if callable(items) else items


def _repeated(items: Any) -> Iterator[Any]:
    while True:
        again = iter(_made(items))
        if again is items:
            raise ValueError(
                f"Cannot iterate over {items} multiple times. Please pass in the base iterable or "
                f"lambda: {items} instead."
            )
        yield from again


def _for_a_while(following: Callable[[], Any], batch_ms: int) -> List[Any]:
    taken = [following()]
    end = time.monotonic() + batch_ms / 1000
    while batch_ms and time.monotonic() < end:
        try:
            taken.append(following())
        except StopIteration:
            break
    return taken
