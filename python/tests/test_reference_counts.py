"""The counting of references: three processes, messages in every order that FIFO paths allow."""

from __future__ import annotations

import random
from collections import deque

import pytest
from iorun._core import frames, serialization
from iorun._core.objects import PLAIN, Entry, ObjectTable

SEED = 20260117
HISTORIES = 300


class FakeLoop:
    """A loop without sockets: the lock is free, nobody polls."""

    class _Lock:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    lock = _Lock()

    def tell_poller(self):
        pass


class FakeArena:
    def forget(self, id):
        pass


class FakeActors:
    def handles_gone(self, id):
        pass


class Channel:
    """The path from one process to another: frames and references arrive in order."""

    def __init__(self, worker: bytes):
        self.worker = worker
        self.messages = deque()

    def send(self, data: bytes) -> None:
        self.messages.append(data)


class Process:
    """A process with nothing but its objects."""

    def __init__(self, name: str):
        self.worker_id = name.encode().ljust(16, b"-")
        self.node_id = bytes(16)
        self.loop = FakeLoop()
        self.arena = FakeArena()
        self.actors = FakeActors()
        self.objects = ObjectTable(self)
        self.channels = {}
        #: Ids that the program here holds, once for each reference.
        self.held = []

    def peer(self, worker, _node):
        return self.channels.get(worker)

    def freed_error(self, id):
        return serialization.dumps(None)

    def make(self, number: int) -> bytes:
        id = self.worker_id + number.to_bytes(8, "little") + bytes(4)
        entry = self.objects.entries[id] = Entry(1)
        entry.state, entry.data = PLAIN, b""
        self.held.append(id)
        return id

    def give(self, id: bytes, other: "Process") -> None:
        channel = self.channels[other.worker_id]
        channel.send(("references", self.objects.table_for([id], channel)))

    def drop(self, id: bytes) -> None:
        self.held.remove(id)
        self.objects.release(id)

    def receive(self, sender: "Process", message) -> None:
        if isinstance(message, tuple):
            self.held += self.objects.receive(serialization.decode_refs(message[1], 0, 1))
            return
        for kind, _, _, _, start, end in frames.split_frames(message, 0, len(message)):
            if kind == frames.BORROW:
                self.objects.on_borrow(message, start, end)
            else:
                assert kind == frames.REMOVE
                self.objects.on_remove(sender.worker_id, message, start, end)


def network(count: int = 3):
    processes = [Process(f"p{index}") for index in range(count)]
    for one in processes:
        for other in processes:
            if one is not other:
                one.channels[other.worker_id] = Channel(other.worker_id)
    return processes


def deliver_one(processes, generator) -> bool:
    ways = [
        (one, other)
        for one in processes
        for other in processes
        if one is not other and one.channels[other.worker_id].messages
    ]
    if not ways:
        return False
    one, other = generator.choice(ways)
    other.receive(one, one.channels[other.worker_id].messages.popleft())
    return True


def references_in_flight(processes, id: bytes) -> bool:
    return any(
        isinstance(message, tuple) and message[1].startswith(id)
        for one in processes
        for channel in one.channels.values()
        for message in channel.messages
    )


@pytest.mark.parametrize("seed", range(SEED, SEED + HISTORIES))
def test_an_object_lives_exactly_as_long_as_somebody_holds_it(seed):
    generator = random.Random(seed)
    processes = network()
    owner = processes[0]
    id = owner.make(1)
    for _ in range(generator.randrange(5, 60)):
        holders = [process for process in processes if id in process.held]
        action = generator.random()
        if action < 0.4 or not holders:
            deliver_one(processes, generator)
        elif action < 0.75:
            one = generator.choice(holders)
            one.give(id, generator.choice([p for p in processes if p is not one]))
        else:
            generator.choice(holders).drop(id)
        needed = any(id in process.held for process in processes)
        if needed or references_in_flight(processes, id):
            assert id in owner.objects.entries, f"freed while in use (seed {seed})"
    while deliver_one(processes, generator):
        pass
    for process in processes:
        while id in process.held:
            process.drop(id)
    while deliver_one(processes, generator):
        pass
    for process in processes:
        assert id not in process.objects.entries, f"never freed (seed {seed})"


def test_what_a_lost_borrower_had_is_given_back():
    one, other, _ = network()
    id = one.make(1)
    one.give(id, other)
    one.drop(id)
    assert id in one.objects.entries
    one.objects.borrower_lost(other.worker_id)
    assert id not in one.objects.entries


def test_an_object_holds_what_is_in_it_however_deep():
    (one, *_) = network()
    inner = one.make(0)
    for number in range(1, 20_000):
        outer = one.make(number)
        one.objects.entries[outer].contained = [inner]
        # What the program held, the outer object holds now.
        one.held.remove(inner)
        inner = outer
    one.drop(inner)
    assert not one.objects.entries


def test_a_count_of_somebody_elses_object_is_refused():
    one, other, _ = network()
    id = other.make(1)
    body = frames.COUNTED.pack(id, 1)
    with pytest.raises(frames.FrameError):
        one.objects.on_remove(other.worker_id, body, 0, len(body))
