"""How many tasks a lease is given ahead: the rules of `iorun._core.leases` with a clock of the test's."""

import time

import pytest
from iorun._core import leases
from iorun._core.leases import Lease, TaskQueue

SHORT = 1  # units of 16 us


class Loop:
    """Keeps timers for the test to run."""

    def __init__(self):
        self.timers = []

    def after(self, _delay, action):
        self.timers.append(action)


class Peer:
    """A worker that answers when the test says so."""

    def __init__(self, node):
        self.node = node
        self.worker = b"w" * 16
        self.sent = []

    def send(self, data):
        self.sent.append(data)


class Task:
    """A task that knows its number."""

    finished = False

    def __init__(self, number):
        self.number = number
        self.place = None

    def send_to(self, peer):
        peer.send(self.number)


class Hub:
    """Takes every request and answers none."""

    def __init__(self):
        self.count = 0

    def start(self, *_arguments):
        self.count += 1
        return self.count

    def note(self, *_arguments):
        pass


class Tasks:
    """What a queue asks of all tasks."""

    recalled_until = 0.0

    def __init__(self):
        self.leases = {}


class Core:
    """As much of a core as a queue needs."""

    def __init__(self):
        self.loop = Loop()
        self.hub = Hub()
        self.tasks = Tasks()
        self.node_id = b"here"
        self.lease_limit = 4


@pytest.fixture(params=[b"here", b"far"])
def busy(request):
    """A queue, and its lease on a worker, here or far, that has learned that tasks are short."""
    core = Core()
    queue = TaskQueue(core, {})
    lease = Lease(queue, {"lease": 1, "node": "n"}, Peer(request.param))
    queue.leases.append(lease)
    for number in range(2000):
        queue.submit(Task(number))
    for number in range(200):
        queue.replied(lease, number, SHORT)
    assert lease.window > 100
    assert len(lease.inflight) > 100
    return queue, lease


def _is_silent(queue, lease, seconds):
    """Nothing comes from a lease for so long; the queue looks."""
    lease.progress_at = time.perf_counter() - seconds
    queue.core.loop.timers.pop()()


def test_what_waits_behind_a_silent_task_is_called_back(busy):
    queue, lease = busy
    count = len(lease.inflight)
    _is_silent(queue, lease, 5.0)
    assert lease.stealing
    numbers = sorted(lease.inflight)[1:]
    queue.returned(lease, numbers, False)
    assert len(lease.inflight) == 1 < count
    assert len(queue.waiting) > 100


def test_a_hold_up_is_not_taken_for_the_length_of_a_task(busy):
    queue, lease = busy
    _is_silent(queue, lease, 5.0)
    numbers = sorted(lease.inflight)
    queue.returned(lease, numbers[1:], False)
    # It was the machine, or the way: the task itself was as short as all others.
    for _ in range(10):
        queue.replied(lease, min(lease.inflight), SHORT)
    assert lease.window > 100
    assert len(lease.inflight) > 100


def test_a_task_that_was_long_makes_its_worker_get_one_at_a_time(busy):
    queue, lease = busy
    number = min(lease.inflight)
    queue.replied(lease, number, 62_500)
    assert lease.duration >= 0.5e6
    if lease.peer.node == queue.core.node_id:
        assert lease.window == 1
    else:
        # And as many as fill the way.
        assert lease.window <= 1 + 1.5 * lease.info["rtt"] / lease.duration


@pytest.mark.parametrize("others_wait", [False, True])
def test_an_idle_lease_with_devices_is_kept_unless_another_task_waits(others_wait):
    core = Core()
    core.tasks.any_waits = lambda: others_wait
    queue = TaskQueue(core, {})
    lease = Lease(queue, {"lease": 1, "node": "n", "gpus": [0]}, Peer(b"here"))
    queue.leases.append(lease)
    queue.submit(Task(1))
    queue.replied(lease, 1, SHORT)
    assert queue.leases == ([] if others_wait else [lease])


def test_the_patience_with_a_far_worker_grows_with_the_way():
    core = Core()
    queue = TaskQueue(core, {})
    lease = Lease(queue, {"lease": 1, "node": "n"}, Peer(b"far"))
    queue.leases.append(lease)
    queue.far_round_trip = 1.0
    lease.window = 4
    for number in range(4):
        queue.submit(Task(number))
    _is_silent(queue, lease, 1.5 + leases._STUCK)
    assert not lease.stealing
    _is_silent(queue, lease, 2.5 + leases._STUCK)
    assert lease.stealing
