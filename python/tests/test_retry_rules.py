"""Rules of `iorun._core` without a network: pauses, settings, variables, what comes twice."""

import os

import pytest

from iorun import _system_config
from iorun._core import devices, memory_retries, serialization, submitter
from iorun._core.frames import ARENA, ERROR, IN_ARENA, PLAIN, encode_results
from iorun._core.objects import GONE, PENDING, Entry, ObjectTable
from iorun._core.streams import Stream, StreamTable
from iorun._core.tasks import id_suffix
from iorun._system_config import SystemConfig
from iorun.exceptions import ObjectLostError

WORKER, NODE, OTHER = b"w" * 16, b"n" * 16, b"o" * 16


# Retries


class Loop:
    def __init__(self):
        self.pauses = []

    def after(self, pause, _action):
        self.pauses.append(pause)


class Named:
    name = "f"
    max_retries = 3


class Task:
    number = 1
    retries = -1
    attempt = 0
    template = Named
    finished = cancelled = False
    place = None


class Core:
    config = SystemConfig(environment={})
    worker_id = WORKER

    def __init__(self):
        self.loop = Loop()
        self.freed = []
        self.arena = self
        self.objects = ObjectTable(self)

    def free(self, id, locations):
        self.freed.append((id, locations))


class Tasks:
    def __init__(self):
        self.core = Core()


def test_memory_may_be_short_more_than_a_thousand_times():
    tasks = Tasks()
    retries = memory_retries.MemoryRetries(tasks)
    task = Task()
    for _ in range(70_000):
        retries.lost(task, {"message": "low"})
    assert tasks.core.loop.pauses[:3] == [1.0, 2.0, 4.0]
    assert tasks.core.loop.pauses[-1] == 60.0
    assert task.attempt == 0xFFFF
    assert retries.count(task.number) == 70_000


def test_a_task_may_raise_more_than_a_thousand_times():
    assert submitter._pause(1) == 0.02
    assert submitter._pause(100_000) == 1.0


def test_retries_for_want_of_memory_do_not_count_as_lost_arguments():
    core = Core()
    tasks = submitter.TaskSubmitter(core)
    id = WORKER + id_suffix(5, 0)
    there = core.objects.entries[id] = Entry(1)
    there.state, there.data = PLAIN, b""
    task = Task()
    task.attempt = submitter._LOST_MOST + 3
    task.dependencies = (id,)
    again = []
    task.place = type("Actor", (), {"call_again": staticmethod(again.append)})
    lost = encode_results([(ERROR, serialization.dump_error(ObjectLostError(id.hex())))])
    assert not tasks._argument_lost(task, lost, 0, len(lost))
    tasks.memory_retries._lost[task.number] = 4
    assert tasks._argument_lost(task, lost, 0, len(lost))
    assert again == [task]
    # That was one more of the others.
    assert not tasks._argument_lost(task, lost, 0, len(lost))


# Settings


@pytest.mark.parametrize("value", ["many", "inf", "nan", ""])
def test_a_setting_that_is_no_number_is_told_at_once(monkeypatch, value):
    monkeypatch.setenv("RAY_task_oom_retries", value)
    with pytest.raises(ValueError, match="task_oom_retries takes a number"):
        SystemConfig()
    # A worker has nobody to tell.
    assert SystemConfig.inherited()["task_oom_retries"] == -1


def test_what_is_given_comes_before_the_environment(monkeypatch):
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.5")
    monkeypatch.setitem(_system_config.of_cluster, "task_oom_retries", 4)
    config = SystemConfig({"memory_usage_threshold": 0.7})
    assert (config["memory_usage_threshold"], config["task_oom_retries"]) == (0.7, 4)
    assert config.node_options() == ["--memory-usage-threshold=0.7"]
    assert SystemConfig()["memory_usage_threshold"] == 0.5


# Devices


@pytest.fixture
def variables(monkeypatch):
    for name in ("TPU_CHIPS_PER_HOST_BOUNDS", "TPU_HOST_BOUNDS", "TPU_VISIBLE_CHIPS"):
        monkeypatch.delenv(name, raising=False)
        # So that it is removed in the end.
        monkeypatch.setenv(name, "")
        del os.environ[name]
    return monkeypatch


def bounds():
    return os.environ.get("TPU_CHIPS_PER_HOST_BOUNDS"), os.environ.get("TPU_HOST_BOUNDS")


def test_bounds_of_a_host_that_are_the_users_own_stay(variables):
    variables.setenv("TPU_CHIPS_PER_HOST_BOUNDS", "2,2,1")
    variables.setenv("TPU_HOST_BOUNDS", "1,1,2")
    found = devices.Devices()
    found.set([], {"TPU": [0, 1, 2, 3]})
    assert bounds() == ("2,2,1", "1,1,2")
    found.set([], {})
    assert bounds() == ("2,2,1", "1,1,2")


def test_bounds_of_one_or_two_chips_go_with_them(variables):
    found = devices.Devices()
    found.set([], {"TPU": [3]})
    assert bounds() == ("1,1,1", "1,1,1")
    found.set([], {"TPU": [0, 1]})
    assert bounds() == ("1,2,1", "1,1,1")
    found.set([], {"TPU": [0, 1, 2, 3]})
    assert bounds() == (None, None)


# Values that come twice


@pytest.mark.parametrize("state, data", [(GONE, None), (ERROR, b"freed"), (PLAIN, b"small")])
def test_a_value_that_comes_again_and_is_not_wanted_is_given_back(state, data):
    core = Core()
    streams = StreamTable(core)
    task = Task()
    task.core = core
    task.generator = Stream(task, 0)
    task.generator.received = 1
    id = WORKER + id_suffix(task.number, 1)
    entry = core.objects.entries[id] = Entry(1, task)
    entry.state, entry.data = state, data
    inner = WORKER + id_suffix(7, 0)
    core.objects.entries[inner] = contained = Entry(1)
    contained.state, contained.data = PLAIN, b""
    streams.add(task, 0, ARENA, IN_ARENA.pack(NODE, 1000, 1) + inner + NODE)
    assert core.freed == [(id, [NODE])]
    assert contained.local == 1
    assert (entry.state, entry.data) == (state, data)


def test_copies_of_a_lost_value_that_are_left_are_freed_with_the_new_one():
    core = Core()
    core.loop.tell_poller = lambda: None
    streams = StreamTable(core)
    task = Task()
    task.core = core
    stream = task.generator = Stream(task, 0)
    id = WORKER + id_suffix(task.number, 1)
    inner = WORKER + id_suffix(7, 0)
    core.objects.entries[inner] = contained = Entry(1)
    contained.state, contained.data = PLAIN, b""
    value = IN_ARENA.pack(NODE, 1000, 1) + inner + NODE
    streams.add(task, 0, ARENA, value)
    assert contained.local == 2
    entry = core.objects.entries[id]
    streams.lost(stream, id, entry)
    assert (entry.state, contained.local) == (PENDING, 1)
    streams.add(task, 0, ARENA, IN_ARENA.pack(OTHER, 1000, 1) + inner + NODE)
    assert contained.local == 2
    assert (entry.data.locations, stream.missing) == ([OTHER, NODE], {})


def test_a_generator_that_made_nothing_that_can_be_lost_does_not_look_for_it(monkeypatch):
    core = Core()
    core.loop.tell_poller = lambda: None
    streams = StreamTable(core)
    task = Task()
    task.core = core
    task.generator = Stream(task, 0)
    for index in range(3):
        streams.add(task, index, PLAIN, b"")
    monkeypatch.setattr(streams, "made", lambda _: pytest.fail("it looked at each"))
    streams.ended(task, None, False)
    assert task.generator.total == 3
