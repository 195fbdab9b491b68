"""Small tools that tests of Ray programs are written with."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Callable

import iorun

__all__ = ["Semaphore", "SignalActor", "async_wait_for_condition", "wait_for_condition"]


@iorun.remote(num_cpus=0)
class SignalActor:
    """Lets others wait until somebody sends."""

    def __init__(self) -> None:
        self.ready_event = asyncio.Event()
        self.num_waiters = 0

    async def send(self, clear: bool = False) -> None:
        """Wakes all that wait; with `clear` those that come later wait again."""
        self.ready_event.set()
        if clear:
            self.ready_event.clear()

    async def wait(self, should_wait: bool = True) -> None:
        """Waits for `send`."""
        if should_wait:
            self.num_waiters += 1
            try:
                await self.ready_event.wait()
            finally:
                self.num_waiters -= 1

    async def cur_num_waiters(self) -> int:
        """How many wait now."""
        return self.num_waiters


@iorun.remote(num_cpus=0)
class Semaphore:
    """A semaphore that tasks share."""

    def __init__(self, value: int = 1):
        self._sema = asyncio.Semaphore(value=value)

    async def acquire(self) -> None:
        """Takes one, waiting for it."""
        await self._sema.acquire()

    async def release(self) -> None:
        """Gives one back."""
        self._sema.release()

    async def locked(self) -> bool:
        """Whether none is left."""
        return self._sema.locked()


def wait_for_condition(
    condition_predictor: Callable[..., Any],
    timeout: float = 10,
    retry_interval_ms: float = 100,
    raise_exceptions: bool = False,
    **kwargs: Any,
) -> None:
    """Waits until the condition holds; `RuntimeError` with its last error after `timeout` s."""
    start = time.monotonic()
    last = None
    while time.monotonic() - start <= timeout:
        try:
            if condition_predictor(**kwargs):
                return
            last = None
        except Exception as error:
            if raise_exceptions:
                raise
            last = error
        time.sleep(retry_interval_ms / 1000.0)
    message = "The condition wasn't met before the timeout expired."
    if last is not None:
        message += f" Last exception: {last!r}"
    raise RuntimeError(message)


async def async_wait_for_condition(
    condition_predictor: Callable[..., Any],
    timeout: float = 10,
    retry_interval_ms: float = 100,
    **kwargs: Any,
) -> None:
    """`wait_for_condition` of a function or coroutine function."""
    start = time.monotonic()
    last = None
    while time.monotonic() - start <= timeout:
        try:
            found = condition_predictor(**kwargs)
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            last = None
        except Exception as error:
            last = error
        await asyncio.sleep(retry_interval_ms / 1000.0)
    message = "The condition wasn't met before the timeout expired."
    if last is not None:
        message += f" Last exception: {last!r}"
    raise RuntimeError(message)
