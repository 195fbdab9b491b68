"""What Ray has and this package has not says so, and what there is instead."""

import importlib

import pytest

import iorun


@pytest.mark.parametrize("name", ["data", "train", "tune", "serve", "rllib", "workflow", "llm"])
def test_libraries_say_what_there_is_instead(name):
    with pytest.raises(ImportError, match=f"iorun has no `{name}`"):
        importlib.import_module(f"iorun.{name}")
    with pytest.raises(ImportError, match=f"iorun has no `{name}`"):
        exec(f"from iorun import {name}")
    with pytest.raises(AttributeError, match=f"iorun has no `{name}`"):
        getattr(iorun, name)
    assert not hasattr(iorun, name)


def test_what_is_not_imported_yet_is_there_all_the_same():
    assert iorun.dag.InputNode and iorun.experimental.get_object_locations
    assert iorun.util.collective.ReduceOp and iorun.util.accelerators
    with pytest.raises(AttributeError):
        iorun.no_such_thing


def test_other_languages_and_other_machines():
    # Tests of other files that ran before may have left this process attached.
    iorun.shutdown()
    for call in (iorun.java_function, iorun.cpp_function, iorun.java_actor_class):
        with pytest.raises(NotImplementedError, match="no (Java|C\\+\\+) workers"):
            call(*["x"] * (2 if call is iorun.java_function else 1))
    with pytest.raises(ValueError, match="no Ray Client"):
        iorun.init("ray://far.example:10001")
    with pytest.raises(ValueError, match="no Ray Client"):
        iorun.client("ray://far.example:10001").namespace("a").connect()


def test_environments_that_are_refused():
    from iorun.runtime_env import RuntimeEnv

    for field in ("conda", "container", "image_uri"):
        with pytest.raises(ValueError, match=f"'{field}'.*use pip or uv"):
            RuntimeEnv(**{field: "x"})
