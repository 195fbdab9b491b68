"""Errors survive the way between processes, and are of the classes that programs catch."""

import pickle
import traceback

import pytest

from iorun import exceptions
from iorun._errors import task_error as task_error_module


class TwoArguments(Exception):
    """Pickles, but does not load: `args` is not what its constructor wants."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


class ReadOnlyArgs(Exception):
    @property
    def args(self):
        return ("fixed",)


def task_error(cause):
    try:
        raise cause
    except BaseException as error:
        return exceptions.RayTaskError("f", traceback.format_exc(), error)


def test_a_task_error_is_also_its_cause():
    dual = task_error(KeyError("x")).as_instanceof_cause()
    assert isinstance(dual, KeyError) and isinstance(dual, exceptions.RayTaskError)
    assert "KeyError: 'x'" in str(dual)


def test_both_forms_can_be_pickled():
    error = task_error(KeyError("x"))
    copy = pickle.loads(pickle.dumps(error))
    assert copy.pid == error.pid and isinstance(copy.cause, KeyError)
    dual = pickle.loads(pickle.dumps(error.as_instanceof_cause()))
    assert isinstance(dual, KeyError) and str(dual) == str(error)


def test_attributes_of_the_cause_are_reached_through_the_dual():
    cause = OSError(2, "missing", "a-file")
    dual = task_error(cause).as_instanceof_cause()
    assert dual.errno == 2 and dual.filename == "a-file"


def test_a_cause_that_does_not_load_is_kept_as_text():
    error = task_error(TwoArguments("one", "two"))
    assert type(error.cause) is exceptions.RayError and "one and two" in str(error.cause)


def test_a_cause_with_read_only_args():
    dual = task_error(ReadOnlyArgs()).as_instanceof_cause()
    assert isinstance(dual, exceptions.RayTaskError)


def test_a_cause_that_cannot_be_subclassed_leaves_the_plain_error():
    class Final(Exception):
        def __init_subclass__(cls):
            raise TypeError("final")

    error = exceptions.RayTaskError("f", "Traceback (most recent call last):\n", ValueError())
    error.cause = Final()
    assert error.as_instanceof_cause() is error


def test_frames_of_this_package_are_left_out():
    folder = task_error_module._PACKAGE_FOLDER
    text = (
        "Traceback (most recent call last):\n"
        f'  File "{folder}_core/executor.py", line 1, in execute\n'
        "    value = function()\n"
        '  File "user.py", line 2, in f\n'
        "    1 / 0\n"
        "ZeroDivisionError: division by zero"
    )
    shown = str(exceptions.RayTaskError("f", text, ZeroDivisionError()))
    assert "executor" not in shown and "function()" not in shown
    assert "user.py" in shown and "1 / 0" in shown


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ActorDiedError({"class_name": "A", "message": "gone"}),
        exceptions.ActorDiedError(),
        exceptions.ActorUnavailableError("restarting.", b"\x01" * 16),
        exceptions.GetTimeoutError("late"),
        exceptions.ObjectLostError("ab"),
        exceptions.ObjectReconstructionFailedError("ab", None, "no retries"),
        exceptions.OwnerDiedError("ab", "here"),
        exceptions.RuntimeEnvSetupError("pip"),
        exceptions.TaskCancelledError("ab"),
        exceptions.TaskUnschedulableError("no CPU"),
        exceptions.WorkerCrashedError("signal 9"),
        exceptions.OutOfMemoryError("oom"),
        exceptions.RaySystemError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_error_keeps_its_text(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error) and str(copy) == str(error) and str(error)
