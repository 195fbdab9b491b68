"""Which workers end when memory runs out, and what their callers hear.

The files of a control group stand for the machine's memory: in them the programs themselves say how
much of it is in use.
"""

import re
import textwrap

import pytest
from test_memory import in_a_mount_namespace

MIB = 2**20

#: What all programs have in common.
BEGINNING = """
import os, sys, time
import MODULE as ray

def say(mib):
    with open("/sys/fs/cgroup/memory.current.new", "w") as file:
        file.write(f"{mib * 2**20}")
    os.rename("/sys/fs/cgroup/memory.current.new", "/sys/fs/cgroup/memory.current")

def start(**config):
    ray.init(num_cpus=2, log_to_driver=False, _system_config={
        "memory_monitor_refresh_ms": 50, "task_oom_retry_delay_base_ms": 0, **config})

@ray.remote
def eat(mib, used, folder):
    with open(os.path.join(folder, "attempts"), "a") as file:
        file.write("x")
    taken = bytearray(b"x" * (mib * 2**20))
    say(used)
    time.sleep(60)

@ray.remote
class Eater:
    def __init__(self):
        self.taken = b""

    def eat(self, mib, used=None):
        self.taken = bytearray(b"x" * (mib * 2**20))
        if used:
            say(used)
            time.sleep(60)
        return len(self.taken)

    def pid(self):
        return os.getpid()

FOLDER = sys.path[0]
"""


@pytest.fixture
def run(tmp_path):
    """Runs a program on a machine of 1000 MiB, of which it says itself how much is in use."""
    group = tmp_path / "cgroup"
    group.mkdir()
    (group / "memory.max").write_text(f"{1000 * MIB}\n")
    (group / "memory.current").write_text(f"{100 * MIB}\n")
    (group / "memory.stat").write_text("inactive_file 0\n")

    def run(program, variables=""):
        mounts = f"export A=1 {variables} && mount --bind {group} /sys/fs/cgroup"
        return in_a_mount_namespace(BEGINNING + textwrap.dedent(program), mounts, tmp_path)

    return run


def test_the_error_has_the_figures(run):
    said = run(
        """
        start()
        try:
            ray.get(eat.options(max_retries=0).remote(200, 990, FOLDER))
        except ray.exceptions.OutOfMemoryError as error:
            print(error)
        """
    )
    assert said.startswith("1 worker(s) were killed due to the node running low on memory.")
    assert re.search(r"ID: [0-9a-f]{32}\) was 0\.97GB used / 0\.98GB limit \(0\.990000\)", said)
    assert f"exceeded threshold of {950 * MIB}B (95.0% of {1000 * MIB}B limit)" in said
    assert re.search(r"Selected to kill: \(Task worker: .* pid=\d+.* memory used=0\.2\dGB", said)


def test_retries_are_counted_apart(run, tmp_path):
    said = run(
        """
        start(task_oom_retries=2)
        for retries in (1, -1, 0):
            try:
                ray.get(eat.options(max_retries=retries).remote(200, 990, FOLDER))
            except ray.exceptions.OutOfMemoryError:
                say(100)
                print(retries, os.path.getsize(os.path.join(FOLDER, "attempts")))
        """
    )
    assert said.split("\n")[:3] == ["1 3", "-1 6", "0 7"]


def test_a_task_that_fits_later_has_its_result(run):
    said = run(
        """
        start()

        @ray.remote(max_retries=1)
        def greedy():
            if ray.get_runtime_context().get_attempt_number() < 3:
                taken = bytearray(b"x" * (200 * 2**20))
                say(990)
                time.sleep(60)
            say(100)
            return "fits"

        print(ray.get(greedy.remote()))
        """
    )
    assert said == "fits\n"


def test_the_threshold_comes_from_the_environment(run):
    said = run(
        """
        start()
        eater = Eater.remote()
        try:
            ray.get(eater.eat.remote(200, 600))
        except ray.exceptions.OutOfMemoryError as error:
            print(error)
        """,
        "RAY_memory_usage_threshold=0.5",
    )
    assert f"exceeded threshold of {500 * MIB}B" in said and "Actor Eater was one of them" in said


def test_so_many_bytes_may_be_enough(run):
    said = run(
        """
        start(memory_usage_threshold=0.5, min_memory_free_bytes=100 * 2**20)
        eater = Eater.remote()
        say(890)
        print(ray.get(eater.eat.remote(200)))
        time.sleep(0.5)
        print(ray.get(eater.eat.remote(100)))
        try:
            ray.get(eater.eat.remote(200, 910))
        except ray.exceptions.OutOfMemoryError:
            print("ended")
        """
    )
    assert said == f"{200 * MIB}\n{100 * MIB}\nended\n"


def test_nobody_looks_where_that_is_wanted(run):
    said = run(
        """
        start(memory_monitor_refresh_ms=0)
        eater = Eater.remote()
        say(999)
        print(ray.get(eater.eat.remote(200)))
        time.sleep(1)
        print(ray.get(eater.eat.remote(100)))
        """
    )
    assert said == f"{200 * MIB}\n{100 * MIB}\n"


def test_who_may_be_retried_ends_before_a_newer_one_who_may_not(run):
    said = run(
        """
        start(task_oom_retries=0)
        older = eat.options(max_retries=1).remote(200, 100, FOLDER)
        while not os.path.exists(os.path.join(FOLDER, "attempts")):
            time.sleep(0.01)
        newer = Eater.remote()
        ray.get(newer.eat.remote(200))
        say(990)
        try:
            ray.get(older)
        except ray.exceptions.OutOfMemoryError:
            say(100)
            print("the older")
        print(ray.get(newer.eat.remote(10)))
        """
    )
    assert said == f"the older\n{10 * MIB}\n"


def test_of_two_who_may_not_be_retried_the_newer_ends(run):
    said = run(
        """
        start()
        older = Eater.remote()
        ray.get(older.eat.remote(200))
        try:
            ray.get(eat.options(max_retries=0).remote(200, 990, FOLDER))
        except ray.exceptions.OutOfMemoryError:
            say(100)
            print("the newer")
        print(ray.get(older.eat.remote(10)))
        """
    )
    assert said == f"the newer\n{10 * MIB}\n"


def test_two_end_where_one_does_not_have_enough(run):
    said = run(
        """
        start()
        actors = []
        for _ in range(3):
            actors.append(Eater.remote())
            ray.get(actors[-1].eat.remote(150))

        def is_ended(actor):
            try:
                ray.get(actor.pid.remote())
                return False
            except ray.exceptions.OutOfMemoryError as error:
                return str(error).split()[0]

        # 250 MiB too much.
        say(1200)
        while not is_ended(actors[2]):
            time.sleep(0.02)
        say(100)
        print([is_ended(actor) for actor in actors])
        """
    )
    assert said == "[False, '2', '2']\n"


def test_an_actor_that_restarts(run):
    said = run(
        """
        start()
        eater = Eater.options(max_restarts=1).remote()
        first = ray.get(eater.pid.remote())
        try:
            ray.get(eater.eat.remote(200, 990))
        except ray.exceptions.ActorUnavailableError as error:
            say(100)
            print("low on memory" in str(error))
        # It has no memory of what it has eaten.
        print(ray.get(eater.pid.options(max_task_retries=-1).remote()) != first)
        try:
            ray.get(eater.eat.remote(200, 990))
        except ray.exceptions.OutOfMemoryError as error:
            print("ended for good")
        """
    )
    assert said == "True\nTrue\nended for good\n"


def test_the_state_of_the_task_says_why_it_failed(run):
    said = run(
        """
        from MODULE.util.state import list_tasks
        start()
        try:
            ray.get(eat.options(max_retries=0, name="hungry").remote(200, 990, FOLDER))
        except ray.exceptions.OutOfMemoryError:
            say(100)
        while not list_tasks(filters=[("state", "=", "FAILED")]):
            time.sleep(0.05)
        (task,) = list_tasks(filters=[("name", "=", "hungry")])
        print(task.error_type)
        """
    )
    assert said == "OUT_OF_MEMORY\n"
