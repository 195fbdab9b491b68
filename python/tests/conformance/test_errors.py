"""What failures look like to the caller."""

import os
import signal
import sys
import time

import pytest
from module_under_test import IS_RAY, ray, submodule

exceptions = submodule("exceptions")


class CustomError(Exception):
    def __init__(self, message, code):
        super().__init__(message, code)
        self.code = code


class Failing:
    def __reduce__(self):
        raise RuntimeError("this does not pickle")


def test_a_tasks_error_is_of_its_class_and_a_task_error(shared):
    @ray.remote(max_retries=0)
    def f():
        raise ValueError("the reason")

    with pytest.raises(ValueError, match="the reason") as caught:
        ray.get(f.remote())
    assert isinstance(caught.value, exceptions.RayTaskError)
    assert isinstance(caught.value, exceptions.RayError)
    assert isinstance(caught.value.cause, ValueError)


def test_the_text_shows_where_it_was_raised(shared):
    @ray.remote(max_retries=0)
    def some_function_name():
        return 1 / 0

    with pytest.raises(ZeroDivisionError) as caught:
        ray.get(some_function_name.remote())
    text = str(caught.value)
    assert "some_function_name" in text and "1 / 0" in text and "pid=" in text


def test_attributes_of_the_users_error_are_there(shared):
    @ray.remote(max_retries=0)
    def f():
        raise CustomError("text", 42)

    with pytest.raises(CustomError) as caught:
        ray.get(f.remote())
    assert caught.value.code == 42
    assert caught.value.cause.code == 42


def test_an_error_class_of_main_or_a_function(shared):
    class Local(Exception):
        pass

    @ray.remote(max_retries=0)
    def f():
        raise Local("x")

    with pytest.raises(exceptions.RayTaskError) as caught:
        ray.get(f.remote())
    assert type(caught.value.cause).__name__ == "Local"


def test_an_error_in_a_dependency_fails_the_dependent(shared):
    @ray.remote(max_retries=0)
    def bad():
        raise KeyError("origin")

    @ray.remote(max_retries=0)
    def use(x):
        return x

    with pytest.raises(KeyError, match="origin"):
        ray.get(use.remote(use.remote(bad.remote())))


def test_an_error_in_a_nested_get_is_raised_there(shared):
    @ray.remote(max_retries=0)
    def bad():
        raise KeyError("inner")

    @ray.remote(max_retries=0)
    def outer():
        try:
            ray.get(bad.remote())
        except KeyError:
            return "caught"

    assert ray.get(outer.remote()) == "caught"

    @ray.remote(max_retries=0)
    def through():
        return ray.get(bad.remote())

    with pytest.raises(KeyError):
        ray.get(through.remote())


def test_get_of_a_list_raises_the_error_of_one(shared):
    @ray.remote(max_retries=0)
    def f(i):
        if i == 3:
            raise ValueError(i)
        return i

    with pytest.raises(ValueError):
        ray.get([f.remote(i) for i in range(5)])


def test_all_results_of_a_failed_task_raise(shared):
    @ray.remote(num_returns=2, max_retries=0)
    def f():
        raise ValueError("x")

    for ref in f.remote():
        with pytest.raises(ValueError):
            ray.get(ref)


def test_an_error_can_be_got_twice(shared):
    @ray.remote(max_retries=0)
    def f():
        raise ValueError("x")

    ref = f.remote()
    for _ in range(2):
        with pytest.raises(ValueError):
            ray.get(ref)


@pytest.mark.skipif(IS_RAY, reason="the worker of Ray 2.60 crashes")
def test_an_error_that_does_not_pickle_becomes_text(shared):
    class Bad(Exception):
        def __init__(self):
            super().__init__("cannot travel")
            self.lock = Failing()

    @ray.remote(max_retries=0)
    def f():
        raise Bad()

    with pytest.raises(exceptions.RayError, match="cannot travel|serializ|pickle"):
        ray.get(f.remote())


def test_an_error_that_does_not_unpickle(shared):
    class Bad(Exception):
        def __init__(self, a, b):
            super().__init__(f"{a} and {b}")

    @ray.remote(max_retries=0)
    def f():
        raise Bad("one", "two")

    with pytest.raises(Exception, match="one"):
        ray.get(f.remote())


def test_an_exception_as_a_value_is_a_value(shared):
    @ray.remote
    def f():
        return ValueError("just a value")

    assert isinstance(ray.get(f.remote()), ValueError)
    assert isinstance(ray.get(ray.put(KeyError("x"))), KeyError)


def test_exception_groups(shared):
    if sys.version_info < (3, 11):
        pytest.skip("there are no groups before Python 3.11")

    @ray.remote(max_retries=0)
    def f():
        raise ExceptionGroup("several", [ValueError("a"), KeyError("b")])  # noqa: F821

    with pytest.raises(ExceptionGroup) as caught:  # noqa: F821
        ray.get(f.remote())
    assert len(caught.value.exceptions) == 2


def test_an_error_with_a_cause_shows_both(shared):
    @ray.remote(max_retries=0)
    def f():
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error

    with pytest.raises(ValueError) as caught:
        ray.get(f.remote())
    assert "first" in str(caught.value) and "second" in str(caught.value)


def test_deep_recursion_is_an_error_not_a_crash(shared):
    @ray.remote(max_retries=0)
    def f():
        def endless(x):
            return endless(x + 1)

        return endless(0)

    with pytest.raises(RecursionError):
        ray.get(f.remote())


def test_a_worker_that_exits_is_a_crash(shared):
    @ray.remote(max_retries=0)
    def f():
        os._exit(3)

    with pytest.raises(exceptions.WorkerCrashedError):
        ray.get(f.remote())


def test_a_worker_that_is_killed_is_a_crash(shared):
    @ray.remote(max_retries=0)
    def f():
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(20)

    with pytest.raises(exceptions.WorkerCrashedError):
        ray.get(f.remote())


def test_sys_exit_in_a_task_is_an_error(shared):
    @ray.remote(max_retries=0)
    def f():
        sys.exit(1)

    with pytest.raises(exceptions.RayError):
        ray.get(f.remote())


def test_an_actor_that_exits_is_dead(shared):
    @ray.remote
    class A:
        def die(self):
            os._exit(1)

        def work(self):
            return 1

    actor = A.remote()
    with pytest.raises(exceptions.RayActorError):
        ray.get(actor.die.remote())
    with pytest.raises(exceptions.ActorDiedError):
        ray.get(actor.work.remote())


def test_an_actors_death_fails_what_was_queued(shared):
    @ray.remote
    class A:
        def die(self):
            time.sleep(0.2)
            os._exit(1)

        def work(self):
            return 1

    actor = A.remote()
    actor.die.remote()
    for ref in [actor.work.remote() for _ in range(5)]:
        with pytest.raises(exceptions.RayActorError):
            ray.get(ref)


def test_an_actor_that_kills_itself_in_its_constructor(shared):
    @ray.remote
    class A:
        def __init__(self):
            os._exit(7)

        def work(self):
            return 1

    with pytest.raises(exceptions.RayActorError):
        ray.get(A.remote().work.remote())


def test_an_actor_killed_from_outside(shared):
    @ray.remote
    class A:
        def pid(self):
            return os.getpid()

    actor = A.remote()
    os.kill(ray.get(actor.pid.remote()), signal.SIGKILL)
    with pytest.raises(exceptions.RayActorError):
        for _ in range(100):
            ray.get(actor.pid.remote())
            time.sleep(0.05)


def test_errors_are_raised_as_instances_of_the_cause_only_once(shared):
    @ray.remote(max_retries=0)
    def f():
        raise ValueError("x")

    @ray.remote(max_retries=0)
    def g():
        ray.get(f.remote())

    with pytest.raises(ValueError) as caught:
        ray.get(g.remote())
    assert isinstance(caught.value, exceptions.RayTaskError)


def test_the_tree_of_classes():
    e = exceptions
    assert issubclass(e.RayTaskError, e.RayError)
    assert issubclass(e.ActorDiedError, e.RayActorError)
    assert issubclass(e.ActorUnavailableError, e.RayActorError)
    assert issubclass(e.GetTimeoutError, TimeoutError)
    assert issubclass(e.OwnerDiedError, e.ObjectLostError)
    assert issubclass(e.ObjectReconstructionFailedError, e.ObjectLostError)
    assert issubclass(e.ObjectFreedError, e.ObjectLostError)
    assert issubclass(e.ReferenceCountingAssertionError, AssertionError)
    assert issubclass(e.ActorAlreadyExistsError, ValueError)
    for name in [
        "TaskCancelledError",
        "WorkerCrashedError",
        "LocalRayletDiedError",
        "RaySystemError",
        "ObjectStoreFullError",
        "OutOfDiskError",
        "OutOfMemoryError",
        "NodeDiedError",
        "RuntimeEnvSetupError",
        "TaskPlacementGroupRemoved",
        "ActorPlacementGroupRemoved",
        "PendingCallsLimitExceeded",
        "TaskUnschedulableError",
        "ActorUnschedulableError",
        "PlasmaObjectNotAvailable",
        "AsyncioActorExit",
        "CrossLanguageError",
    ]:
        assert issubclass(getattr(e, name), e.RayError), name


def test_what_captures_too_much_is_refused_by_its_name(shared):
    much = bytearray(100 << 20)

    @ray.remote
    def task():
        return len(much)

    @ray.remote
    class Actor:
        def size(self):
            return len(much)

    with pytest.raises(ValueError, match="The remote function .*task is too large"):
        task.remote()
    with pytest.raises(ValueError, match="The actor Actor is too large"):
        Actor.remote()


def test_a_killed_actor_says_so(shared):
    @ray.remote(resources={"custom": 1})
    class A:
        def work(self):
            return 1

    for wait in (True, False):
        actor = A.remote()
        if wait:
            ray.get(actor.work.remote())
        ray.kill(actor)
        with pytest.raises(exceptions.RayActorError, match="it was killed by `ray.kill"):
            ray.get(actor.work.remote())


def test_a_group_of_no_exceptions_is_the_tasks_error(shared):
    if sys.version_info < (3, 11):
        pytest.skip("there are no groups before Python 3.11")

    @ray.remote(max_retries=0)
    def f():
        raise BaseExceptionGroup("several", [BaseException("a")])  # noqa: F821

    with pytest.raises(exceptions.RayTaskError, match="several"):
        ray.get(f.remote())


def test_a_task_that_interrupts_itself_counts_as_cancelled(shared):
    @ray.remote(max_retries=0)
    def f():
        raise KeyboardInterrupt

    with pytest.raises(exceptions.TaskCancelledError):
        ray.get(f.remote())


def test_a_ref_in_a_closure_is_refused_where_that_is_asked_for(shared, monkeypatch):
    monkeypatch.setenv("RAY_allow_out_of_band_object_ref_serialization", "0")
    if IS_RAY:
        pytest.skip("Ray reads the variable when it is imported")
    ref = ray.put(1)

    @ray.remote
    def f():
        return ref

    with pytest.raises(exceptions.OufOfBandObjectRefSerializationException):
        f.remote()
