"""What a worker has started ends with it."""

import os
import signal
import subprocess
import sys

import pytest
from conftest import wait_until
from module_under_test import IS_RAY, ray

_FLAG = "kill_child_processes_on_worker_exit"


def _start(own_session):
    # Ends by itself, lest a failed test leaves it.
    command = [sys.executable, "-c", "import time; time.sleep(120)"]
    return subprocess.Popen(command, start_new_session=own_session).pid


def _start_below_a_shell():
    command = ["sh", "-c", "sleep 120 & echo $!; wait"]
    shell = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return int(shell.stdout.readline())


@ray.remote
class Starter:
    def start(self, own_session=False):
        return _start(own_session)

    def start_below_a_shell(self):
        return _start_below_a_shell()

    def fork(self):
        import multiprocessing
        import time

        # Not a daemon: an interpreter that ends in order waits for it.
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(120,))
        child.start()
        return child.pid

    def pid(self):
        return os.getpid()

    def leave(self):
        ray.actor.exit_actor()


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def until_dead(*pids):
    wait_until(lambda: not any(map(is_alive, pids)))


def end(*pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


@pytest.fixture
def four(fresh):
    ray.init(num_cpus=4, log_to_driver=False)


def test_children_of_a_killed_actor(four):
    actor = Starter.remote()
    pids = [
        ray.get(actor.start.remote()),
        ray.get(actor.start.remote(own_session=True)),
        ray.get(actor.start_below_a_shell.remote()),
        ray.get(actor.fork.remote()),
    ]
    assert all(map(is_alive, pids))
    ray.kill(actor)
    until_dead(*pids)


def test_children_of_an_actor_that_leaves(four):
    actor = Starter.remote()
    pids = [
        ray.get(actor.start.remote()),
        ray.get(actor.start.remote(own_session=True)),
        ray.get(actor.fork.remote()),
    ]
    actor.leave.remote()
    until_dead(*pids)


def test_children_of_an_actor_without_handles(four):
    actor = Starter.remote()
    pids = [ray.get(actor.start.remote()), ray.get(actor.fork.remote())]
    del actor
    until_dead(*pids)


def test_children_of_a_task_that_is_cancelled_by_force(four, tmp_path):
    path = tmp_path / "pid"

    @ray.remote(max_retries=0)
    def work():
        import time

        (tmp_path / "new").write_text(f"{_start(False)} {_start(True)}")
        (tmp_path / "new").rename(path)
        time.sleep(120)

    running = work.remote()
    wait_until(path.exists)
    pids = [int(word) for word in path.read_text().split()]
    assert all(map(is_alive, pids))
    ray.cancel(running, force=True)
    until_dead(*pids)


def test_children_of_a_process_that_has_run_its_calls(four):
    @ray.remote(max_calls=1)
    def work():
        return _start(False)

    until_dead(ray.get(work.remote()))


def test_children_outlive_a_task_but_not_the_session(four):
    @ray.remote
    def work():
        return _start(False), _start(IS_RAY is False)

    pids = ray.get(work.remote())
    assert ray.get(work.remote()) != pids
    assert all(map(is_alive, pids))
    ray.shutdown()
    until_dead(*pids)


@pytest.mark.skipif(IS_RAY, reason="Ray needs RAY_process_group_cleanup_enabled for it")
def test_the_process_group_of_a_crashed_actor(four):
    actor = Starter.remote()
    pids = [
        ray.get(actor.start.remote()),
        ray.get(actor.start_below_a_shell.remote()),
        ray.get(actor.fork.remote()),
    ]
    alone = ray.get(actor.start.remote(own_session=True))
    os.kill(ray.get(actor.pid.remote()), signal.SIGKILL)
    until_dead(*pids)
    # Who leaves the group says that it is to live on; until the session ends.
    assert is_alive(alone)
    ray.shutdown()
    until_dead(alone)


@pytest.mark.skipif(IS_RAY, reason="Ray looks every 10 s, and a generation each time")
def test_all_that_a_crashed_actor_has_started(fresh):
    ray.init(
        num_cpus=1, log_to_driver=False, _system_config={f"{_FLAG}_with_raylet_subreaper": True}
    )
    actor = Starter.remote()
    other = Starter.options(num_cpus=0).remote()
    pids = [
        ray.get(actor.start.remote()),
        ray.get(actor.start.remote(own_session=True)),
        ray.get(actor.start_below_a_shell.remote()),
    ]
    others = [ray.get(other.start.remote()), ray.get(other.start.remote(own_session=True))]
    os.kill(ray.get(actor.pid.remote()), signal.SIGKILL)
    until_dead(*pids)
    assert all(map(is_alive, others))
    ray.kill(other)
    until_dead(*others)


@pytest.mark.skipif(IS_RAY, reason="Ray's agent ends the process group all the same")
def test_children_are_left_alone_where_that_is_wanted(fresh):
    ray.init(num_cpus=1, log_to_driver=False, _system_config={_FLAG: False})
    actor = Starter.remote()
    worker, child = ray.get([actor.pid.remote(), actor.start.remote()])
    ray.kill(actor)
    until_dead(worker)
    try:
        # What another actor has started after that is no younger.
        assert ray.get(Starter.remote().pid.remote()) != worker
        assert is_alive(child)
    finally:
        end(child)
