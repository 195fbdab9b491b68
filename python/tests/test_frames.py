"""The peer frames' codec: what it writes it reads, and nothing from outside breaks it."""

from __future__ import annotations

import random
import socket
import struct

import pytest
from iorun._core import arguments, frames, serialization
from iorun._core.connection import Connection
from iorun._core.loop import Loop

SEED = 20260117
ROUNDS = 3000


def test_frames_come_back_as_they_were():
    parts = [
        frames.frame(frames.CALL, 1, 2, 3, b"abc"),
        frames.frame(frames.REPLY),
        frames.frame(frames.VALUE, number=1 << 63, body=bytes(1000)),
    ]
    data = b"x" + b"".join(parts)
    found = frames.split_frames(data, 1, len(data))
    assert [f[:4] for f in found] == [
        (frames.CALL, 1, 2, 3),
        (frames.REPLY, 0, 0, 0),
        (frames.VALUE, 0, 0, 1 << 63),
    ]
    assert data[found[0][4] : found[0][5]] == b"abc"


def test_results_come_back_as_they_were():
    results = [(frames.PLAIN, b""), (frames.ARENA, b"xyz"), (frames.ERROR, bytes(300))]
    data = frames.encode_results(results)
    assert frames.decode_results(data, 0, len(data)) == results


@pytest.mark.parametrize("decode", [frames.split_frames, frames.decode_results])
def test_noise_is_an_error_or_a_value_and_nothing_else(decode):
    generator = random.Random(SEED)
    for _ in range(ROUNDS):
        data = generator.randbytes(generator.randrange(80))
        try:
            decode(data, 0, len(data))
        except (frames.FrameError, struct.error):
            pass


def test_damaged_values_raise_errors_that_close_a_connection():
    from iorun._core.connection import MALFORMED

    generator = random.Random(SEED)
    value = serialization.serialize({"a": bytearray(10_000), "b": [1, 2, 3]})
    whole = value.full(b"")
    for _ in range(ROUNDS):
        damaged = bytearray(whole)
        for _ in range(generator.randrange(1, 4)):
            damaged[generator.randrange(40)] = generator.randrange(256)
        view = memoryview(bytes(damaged[: generator.randrange(len(damaged) + 1)]))
        try:
            serialization.ref_ids(view)
            serialization.ref_table(view)
        except MALFORMED:
            pass
        try:
            arguments.split_full(bytes(view))
        except MALFORMED:
            pass


class Recorder:
    """A connection whose frames are noted."""

    def __init__(self):
        self.loop = Loop()
        self.mine, theirs = socket.socketpair()
        self.frames = []
        self.closed = []
        handlers = [None] * 256
        handlers[frames.CALL] = lambda peer, flags, aux, number, data, start, end: (
            self.frames.append((number, data[start:end]))
        )
        self.connection = Connection(
            self.loop, theirs, handlers, lambda _, reason: self.closed.append(reason)
        )

    def feed(self, data: bytes) -> None:
        self.mine.sendall(data)
        self.loop.poll_now()

    def close(self) -> None:
        self.connection.close()
        self.mine.close()
        self.loop.epoll.close()


@pytest.fixture
def recorder():
    recorder = Recorder()
    yield recorder
    recorder.close()


def test_frames_may_come_in_any_pieces(recorder):
    generator = random.Random(SEED)
    bodies = [generator.randbytes(generator.choice([0, 1, 15, 200, 5000])) for _ in range(60)]
    stream = b"".join(
        frames.frame(frames.CALL, number=index, body=body) for index, body in enumerate(bodies)
    )
    while stream:
        size = generator.randrange(1, 900)
        recorder.feed(stream[:size])
        stream = stream[size:]
    assert recorder.frames == list(enumerate(bodies))


def test_an_unknown_kind_closes_the_connection(recorder):
    recorder.feed(frames.frame(frames.CALL, number=7) + frames.frame(0x7F))
    assert recorder.frames == [(7, b"")]
    assert len(recorder.closed) == 1 and "0x7f" in recorder.closed[0]


def test_a_frame_over_the_limit_closes_the_connection(recorder):
    recorder.feed(frames.HEADER.pack(frames.FRAME_LIMIT + 1, frames.CALL, 0, 0, 0))
    assert len(recorder.closed) == 1 and "limit" in recorder.closed[0]


def test_a_frame_that_is_too_short_closes_the_connection(recorder):
    recorder.feed(frames.HEADER.pack(3, frames.CALL, 0, 0, 0))
    assert len(recorder.closed) == 1


def test_noise_never_raises_out_of_the_loop():
    generator = random.Random(SEED)
    for _ in range(100):
        recorder = Recorder()
        recorder.feed(generator.randbytes(generator.randrange(1, 400)))
        recorder.close()
