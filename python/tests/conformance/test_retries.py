"""What is tried again, how often, and when."""

import os
import signal
import time

import pytest
from module_under_test import ray, submodule

exceptions = submodule("exceptions")


def tries(path):
    """Counts a try in a file, and returns how many there were."""
    with open(path, "a") as file:
        file.write("x")
    return os.path.getsize(path)


def test_a_crash_is_retried(shared, tmp_path):
    @ray.remote(max_retries=2)
    def f(path):
        if tries(path) < 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return "made it"

    assert ray.get(f.remote(tmp_path / "tries")) == "made it"


def test_a_crash_is_retried_no_more_than_max_retries(shared, tmp_path):
    @ray.remote(max_retries=1)
    def f(path):
        tries(path)
        os._exit(1)

    with pytest.raises(exceptions.WorkerCrashedError):
        ray.get(f.remote(tmp_path / "tries"))
    assert os.path.getsize(tmp_path / "tries") == 2


def test_errors_are_not_retried_by_default(shared, tmp_path):
    @ray.remote
    def f(path):
        tries(path)
        raise ValueError("no")

    with pytest.raises(ValueError):
        ray.get(f.remote(tmp_path / "tries"))
    assert os.path.getsize(tmp_path / "tries") == 1


def test_retry_exceptions_true(shared, tmp_path):
    @ray.remote(max_retries=3, retry_exceptions=True)
    def f(path):
        if tries(path) < 3:
            raise ValueError("again")
        return "fine"

    assert ray.get(f.remote(tmp_path / "tries")) == "fine"


def test_retry_exceptions_list(shared, tmp_path):
    @ray.remote(max_retries=3, retry_exceptions=[KeyError])
    def f(path, error):
        if tries(path) < 3:
            raise error("again")
        return "fine"

    assert ray.get(f.remote(tmp_path / "a", KeyError)) == "fine"
    with pytest.raises(ValueError):
        ray.get(f.remote(tmp_path / "b", ValueError))
    assert os.path.getsize(tmp_path / "b") == 1


def test_retries_run_out(shared, tmp_path):
    @ray.remote(max_retries=2, retry_exceptions=True)
    def f(path):
        raise ValueError(tries(path))

    with pytest.raises(ValueError):
        ray.get(f.remote(tmp_path / "tries"))
    assert os.path.getsize(tmp_path / "tries") == 3


def test_options_of_retries(shared, tmp_path):
    @ray.remote
    def f(path):
        if tries(path) < 2:
            raise ValueError
        return 1

    task = f.options(max_retries=1, retry_exceptions=True)
    assert ray.get(task.remote(tmp_path / "tries")) == 1


def test_methods_are_retried_after_a_restart(shared, tmp_path):
    @ray.remote(max_restarts=3, max_task_retries=3)
    class A:
        def work(self, path):
            if tries(path) < 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return "fine"

    assert ray.get(A.remote().work.remote(tmp_path / "tries")) == "fine"


def test_methods_are_not_retried_by_default(shared, tmp_path):
    @ray.remote(max_restarts=3)
    class A:
        def work(self, path):
            tries(path)
            os._exit(1)

    with pytest.raises(exceptions.RayActorError):
        ray.get(A.remote().work.remote(tmp_path / "tries"))
    assert os.path.getsize(tmp_path / "tries") == 1


def test_method_errors_are_retried_by_option(shared, tmp_path):
    @ray.remote
    class A:
        @ray.method(max_task_retries=3, retry_exceptions=True)
        def work(self, path):
            if tries(path) < 3:
                raise ValueError("again")
            return "fine"

    assert ray.get(A.remote().work.remote(tmp_path / "tries")) == "fine"


def test_a_retry_gives_what_it_waits_for_some_time(shared):
    @ray.remote(max_retries=10, retry_exceptions=[ConnectionError])
    def connect(when):
        if time.time() < when:
            raise ConnectionError("nobody listens yet")
        return "connected"

    assert ray.get(connect.remote(time.time() + 1)) == "connected"


def test_a_retry_of_a_method_gives_what_it_waits_for_some_time(shared):
    @ray.remote
    class Client:
        @ray.method(max_task_retries=10, retry_exceptions=[ConnectionError])
        def connect(self, when):
            if time.time() < when:
                raise ConnectionError("nobody listens yet")
            return "connected"

    assert ray.get(Client.remote().connect.remote(time.time() + 1)) == "connected"


def test_a_task_that_is_to_be_tried_again_can_be_cancelled(shared):
    @ray.remote(max_retries=-1, retry_exceptions=True)
    def fail():
        raise ConnectionError("never")

    ref = fail.remote()
    time.sleep(0.3)
    ray.cancel(ref)
    with pytest.raises((exceptions.TaskCancelledError, exceptions.RayTaskError)):
        ray.get(ref, timeout=30)


def test_a_call_can_refuse_to_be_retried(shared):
    @ray.remote
    class A:
        def __init__(self):
            self.calls = 0

        @ray.method(max_task_retries=5, retry_exceptions=True)
        def fail(self):
            self.calls += 1
            raise ValueError

        def count(self):
            return self.calls

    actor = A.remote()
    with pytest.raises(ValueError):
        ray.get(actor.fail.options(retry_exceptions=False).remote())
    assert ray.get(actor.count.remote()) == 1
