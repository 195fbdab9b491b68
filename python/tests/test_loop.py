"""The loop's background thread: when it is kicked, and when it looks by itself."""

import select

import pytest
from iorun._core import loop as loop_module
from iorun._core.loop import Loop


class Written:
    """A connection that counts how often it is told to write."""

    def __init__(self):
        self.flushes = 0

    def flush(self):
        self.flushes += 1


@pytest.fixture
def loop():
    """A loop whose background thread polls, played by the test itself."""
    loop = Loop()
    loop._owner_is_background = True
    yield loop
    loop.close()


def _is_kicked(loop):
    return bool(select.select([loop._kick_read], [], [], 0)[0])


def _marks(loop, connection, count):
    with loop.lock:
        for _ in range(count):
            loop.mark_dirty(connection)


def test_many_frames_are_one_kick(loop):
    connection = Written()
    _marks(loop, connection, 1000)
    assert _is_kicked(loop)
    loop.poll(0)
    assert connection.flushes == 1000
    assert not _is_kicked(loop)


def test_while_it_writes_it_looks_by_itself_and_is_not_kicked(loop):
    connection = Written()
    _marks(loop, connection, 1)
    assert loop._pause() == loop_module._LINGER
    loop.poll(0)
    _marks(loop, connection, 1000)
    assert not _is_kicked(loop), "each kick would pass the interpreter to and fro"
    assert loop._pause() == loop_module._LINGER
    loop.poll(0)
    assert connection.flushes == 1001


def test_where_it_was_quiet_it_sleeps_and_is_kicked_again(loop):
    connection = Written()
    _marks(loop, connection, 1)
    loop._pause()
    loop.poll(0)
    assert loop._pause() == loop_module._IDLE
    _marks(loop, connection, 1)
    assert _is_kicked(loop)


def test_what_a_timer_brings_is_looked_at_before_it_sleeps(loop, monkeypatch):
    asked = []

    class Epoll:
        def poll(self, timeout):
            asked.append(timeout)
            return []

        register = unregister = close = lambda *_: None

    monkeypatch.setattr(loop, "epoll", Epoll())
    loop.after(0, lambda: None)
    loop.after(3600, lambda: None)
    loop.poll(None)
    loop.poll(None)
    assert asked[0] == 0.0 < asked[1]


def test_a_kick_that_comes_while_one_is_taken_is_not_lost(loop):
    loop.kick()
    loop.poll(0)
    loop.kick()
    assert _is_kicked(loop)
