"""Who reads this process's sockets, and when.

All sockets are in one epoll. Whoever waits for something polls by itself and handles whatever
comes, so that a call and its answer need no switch of threads; the *baton* says who polls. A
background thread polls when nobody has for some milliseconds.
"""

from __future__ import annotations

import heapq
import logging
import os
import select
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Callable, Dict, List, Optional, Tuple

if TYPE_CHECKING:
    from iorun._core.connection import Connection

logger = logging.getLogger("iorun")

#: How long nobody may have polled before the background thread takes over.
_GRACE = 0.004
#: The longest the background thread sleeps in epoll: references that were dropped wait that long.
_IDLE = 0.25
#: So soon the background thread looks again after it has written something.
_LINGER = 0.001
#: How often the background thread looks whether an asyncio loop is held up.
_LOOK = 0.01


class Waiter:
    """Something that a thread waits for: `left` things have yet to happen."""

    __slots__ = ("gate", "hasty", "left")

    def __init__(self, left: int, hasty: bool = False):
        self.left = left
        #: Whether one error ends the waiting for all.
        self.hasty = hasty
        self.gate: Optional[threading.Lock] = None

    def count_down(self) -> None:
        """One thing has happened."""
        self.left -= 1
        if self.left <= 0:
            self.wake()

    def wake(self) -> None:
        """Makes the thread look again, where it sleeps."""
        gate = self.gate
        if gate is not None:
            try:
                gate.release()
            except RuntimeError:
                # It is awake already.
                pass


class Loop:
    """The epoll, the baton, the timers and the background thread of a process."""

    def __init__(self) -> None:
        #: Guards all state of the core. Never held while code of the user's runs.
        self.lock = threading.RLock()
        self.epoll = select.epoll()
        self.handlers: Dict[int, Callable[[int], None]] = {}
        #: What has bytes to write.
        self.dirty: List["Connection"] = []
        #: Calls into code that is not the core's; they run without the lock.
        self.deferred: deque = deque()
        #: Runs when a poll begins: takes care of dropped references.
        self.housekeeping: Callable[[], None] = lambda: None
        self.closed = False
        #: A connection on which more waits than should; see `relieve`.
        self.crowded: Optional["Connection"] = None
        self._timers: List[Tuple[float, int, Callable[[], None]]] = []
        self._timer_count = 0
        self._baton = threading.Lock()
        self._owner = 0
        self._owner_is_background = False
        # The background thread looks by itself, soon: it needs no kick to write.
        self._lingers = False
        self._rounds = 0
        self._sleepers: deque = deque()
        # In a worker whose main thread runs an asyncio loop that watches the epoll.
        self.watched = False
        self._look_pause = _LOOK
        self._deep = False
        self._deep_gate = threading.Lock()
        self._deep_gate.acquire()
        # A kick is on its way: whoever gets it looks at everything.
        self._is_kicked = False
        self._kick_read, self._kick_write = os.pipe()
        os.set_blocking(self._kick_read, False)
        os.set_blocking(self._kick_write, False)
        self.add(self._kick_read, self._kicked)
        self._thread = threading.Thread(target=self._background, name="iorun-io", daemon=True)

    def start(self) -> None:
        """Starts the background thread."""
        self._thread.start()

    # What is watched

    def add(self, fd: int, handler: Callable[[int], None]) -> None:
        """Calls the handler, with the lock not held, when there is something to read."""
        self.handlers[fd] = handler
        self.epoll.register(fd, select.EPOLLIN)

    def watch_writable(self, fd: int, wanted: bool) -> None:
        """Calls the handler, too, when there is room to write."""
        self.epoll.modify(fd, select.EPOLLIN | (select.EPOLLOUT if wanted else 0))

    def remove(self, fd: int) -> None:
        """Watches it no longer."""
        if self.handlers.pop(fd, None) is not None:
            try:
                self.epoll.unregister(fd)
            except (OSError, ValueError):
                # Closed already: the kernel has forgotten it by itself.
                pass

    def after(self, delay: float, action: Callable[[], None]) -> None:
        """Runs the action, with the lock held, after so many seconds."""
        with self.lock:
            self._timer_count += 1
            due = time.monotonic() + delay
            first = not self._timers or due < self._timers[0][0]
            heapq.heappush(self._timers, (due, self._timer_count, action))
        if first and self._owner != threading.get_ident():
            # Whoever polls does not know of it yet.
            self.kick()

    def kick(self) -> None:
        """Makes whoever polls look around."""
        if self._is_kicked:
            return
        self._is_kicked = True
        try:
            os.write(self._kick_write, b"k")
        except BlockingIOError:
            # Kicked often enough already.
            pass
        except OSError:
            if not self.closed:
                raise

    def _kicked(self, _mask: int) -> None:
        self._is_kicked = False
        try:
            os.read(self._kick_read, 4096)
        except BlockingIOError:
            pass

    def mark_dirty(self, connection: "Connection") -> None:
        """The connection has bytes to write, soon. With the lock held."""
        self.dirty.append(connection)
        if self._owner_is_background:
            if not self._lingers:
                self.kick()
        elif self._deep:
            self._wake_background()

    def flush(self) -> None:
        """Writes whatever waits to be written."""
        with self.lock:
            dirty, self.dirty = self.dirty, []
            for connection in dirty:
                connection.flush()

    # Polling

    def poll(self, timeout: Optional[float]) -> None:
        """One round: timers, sockets, deferred calls. The caller holds the baton."""
        self.housekeeping()
        if self.dirty:
            self.flush()
        if self._timers:
            timeout = self._run_timers(timeout)
        if self.deferred:
            timeout = 0
        handlers = self.handlers
        for fd, mask in self.epoll.poll(timeout):
            handler = handlers.get(fd)
            if handler is not None:
                handler(mask)
        self._rounds += 1
        if self.deferred:
            self._run_deferred()

    def _run_timers(self, timeout: Optional[float]) -> Optional[float]:
        now = time.monotonic()
        with self.lock:
            while self._timers and self._timers[0][0] <= now:
                # It may bring what this very thread waits for.
                timeout = 0.0
                _, _, action = heapq.heappop(self._timers)
                try:
                    action()
                except Exception:
                    logger.exception("A timed action of the runtime failed.")
            if self._timers:
                left = max(0.0, self._timers[0][0] - now)
                return left if timeout is None else min(left, timeout)
        return timeout

    def _run_deferred(self) -> None:
        deferred = self.deferred
        while deferred:
            try:
                action, arguments = deferred.popleft()
            except IndexError:
                return
            try:
                action(*arguments)
            except Exception:
                logger.exception("A callback failed.")

    def wait(self, waiter: Waiter, timeout: Optional[float] = None) -> bool:
        """Polls until nothing is left to wait for; False where the time was up before."""
        deadline = None if timeout is None else time.monotonic() + timeout
        baton = self._baton
        me = threading.get_ident()
        while waiter.left > 0:
            if self.closed:
                raise RuntimeError("The session was shut down while something waited in it.")
            remaining = None
            if deadline is not None:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return self._last_look(waiter, me)
            if self._owner == me:
                # A callback, inside of a poll of this very thread, waits in turn.
                self.poll(remaining)
            elif baton.acquire(False):
                self._owner = me
                try:
                    while waiter.left > 0:
                        if deadline is not None:
                            remaining = deadline - time.monotonic()
                            if remaining <= 0:
                                break
                        self.poll(remaining)
                        if self.closed:
                            break
                finally:
                    self._hand_on()
            else:
                self._sleep(waiter, remaining)
        return True

    def _last_look(self, waiter: Waiter, me: int) -> bool:
        # A timeout of 0 must still see what has arrived.
        if self._owner == me:
            self.poll(0)
        elif self._baton.acquire(False):
            self._owner = me
            try:
                self.poll(0)
            finally:
                self._hand_on()
        return waiter.left <= 0

    def poll_now(self) -> None:
        """Handles what has arrived, unless somebody else is about to."""
        if self._owner == threading.get_ident():
            return
        if self._baton.acquire(False):
            self._owner = threading.get_ident()
            try:
                self.poll(0)
            finally:
                self._hand_on()

    def relieve(self) -> None:
        """Polls until the crowded connection has room again: whoever adds to it waits."""
        connection, self.crowded = self.crowded, None
        if connection is None or self._owner == threading.get_ident():
            return
        enough = connection.out_size // 2
        while connection.out_size > enough and not connection.closed and not self.closed:
            self.wait(Waiter(1), 0.01)

    def _hand_on(self) -> None:
        """Gives the baton up, and wakes somebody who wants it."""
        self._owner = 0
        self._owner_is_background = False
        self._lingers = False
        self._baton.release()
        if self._sleepers and self._wake_sleeper():
            return
        if self._deep:
            self._wake_background()

    def _wake_sleeper(self) -> bool:
        while self._sleepers:
            try:
                sleeper = self._sleepers.popleft()
            except IndexError:
                return False
            if sleeper.left > 0:
                sleeper.wake()
                return True
        return False

    def tell_poller(self) -> None:
        """Something was settled: whoever polls in another thread may have waited for it."""
        owner = self._owner
        if owner and owner != threading.get_ident():
            self.kick()

    def _sleep(self, waiter: Waiter, timeout: Optional[float]) -> None:
        """Until the waiter is done, or the baton may be free."""
        if self.dirty:
            self.flush()
        if waiter.gate is None:
            waiter.gate = threading.Lock()
            waiter.gate.acquire()
        self._sleepers.append(waiter)
        if self._owner_is_background:
            self.kick()
        # Whoever had the baton may have left before it could see this sleeper.
        if waiter.left <= 0 or not self._baton.locked():
            self._forget_sleeper(waiter)
            return
        waiter.gate.acquire(timeout=-1 if timeout is None else timeout)
        self._forget_sleeper(waiter)

    def _forget_sleeper(self, waiter: Waiter) -> None:
        try:
            self._sleepers.remove(waiter)
        except (ValueError, IndexError):
            # Somebody has taken it out, or another one meanwhile: a waiter that is done or awake
            # in there does no harm.
            pass

    def holds_baton(self) -> bool:
        """Whether this thread polls right now."""
        return self._owner == threading.get_ident()

    # The background thread

    def _wake_background(self) -> None:
        if self._deep:
            self._deep = False
            try:
                self._deep_gate.release()
            except RuntimeError:
                pass

    def _background(self) -> None:
        seen = -1
        quiet = 0
        while not self.closed:
            if self.watched:
                seen = self._watch_the_watcher(seen)
                continue
            if self._rounds != seen or self._sleepers:
                # Somebody polls, and often: not our turn.
                if self._rounds == seen and not self._baton.locked():
                    # Whoever was to poll next has gone, by an exception perhaps.
                    self._wake_sleeper()
                seen = self._rounds
                quiet = 0
                time.sleep(_GRACE)
                if self.dirty:
                    self.flush()
                continue
            if not self._baton.acquire(False):
                # Somebody sits in epoll and will handle what comes: sleep until he leaves.
                quiet += 1
                if self.dirty:
                    self.flush()
                if quiet > 2:
                    self._deep = True
                    if self._baton.locked():
                        self._deep_gate.acquire(timeout=1.0)
                    self._deep = False
                    quiet = 0
                time.sleep(_GRACE)
                continue
            self._owner = threading.get_ident()
            self._owner_is_background = True
            try:
                # Somebody may have come before he could see that he must kick: look first.
                while not (self.closed or self._sleepers or self.watched):
                    try:
                        self.poll(self._pause())
                    except Exception:
                        if self.closed:
                            return
                        logger.exception("The runtime's background thread met an error.")
                        time.sleep(0.05)
            finally:
                self._hand_on()
            seen = -1

    def _pause(self) -> float:
        """How long the background thread may sleep in epoll.

        After it has written something it looks again soon instead of being kicked for every frame:
        a kick hands the interpreter from one thread to the other and back, which takes longer than
        a small call does, and on a busy machine milliseconds.
        """
        with self.lock:
            self._lingers = bool(self.dirty)
        return _LINGER if self._lingers else _IDLE

    def _watch_the_watcher(self, seen: int) -> int:
        """While an asyncio loop polls: a round of its own where that loop is held up."""
        time.sleep(self._look_pause)
        rounds = self._rounds
        if rounds != seen:
            self._look_pause = _LOOK
            return rounds
        if self.dirty or self._timers or self.deferred or self._has_events():
            self._look_pause = _LOOK
            self.poll_now()
            return self._rounds
        # Nothing happens at all: a thousand idle actors must not cost a processor.
        self._look_pause = min(0.1, 1.5 * self._look_pause)
        return rounds

    def _has_events(self) -> bool:
        try:
            return bool(self.epoll.poll(0))
        except (OSError, ValueError):
            return False

    def forked(self) -> None:
        """This is a forked child: closes its copies of the descriptors."""
        self.closed = True
        self.epoll.close()
        os.close(self._kick_read)
        os.close(self._kick_write)

    def close(self) -> None:
        """Stops the background thread and frees the descriptors."""
        self.closed = True
        self.kick()
        self._wake_background()
        while self._sleepers:
            self._sleepers.popleft().wake()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout=1.0)
        self.epoll.close()
        for fd in (self._kick_read, self._kick_write):
            os.close(fd)
