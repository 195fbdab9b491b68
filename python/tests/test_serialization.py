"""Values to bytes and back, without a network."""

from __future__ import annotations

import threading

import pytest
from iorun._core import serialization


def back(value):
    serialized = serialization.serialize(value)
    assert not serialized.refs
    if serialized.plain:
        return serialization.loads(serialized.data)
    return serialization.deserialize_full(memoryview(serialized.full(b"")), None)[0]


@pytest.mark.parametrize(
    "value",
    [None, True, 1, 1 << 70, 1.5, "text", b"bytes", (1, [2, {"k": {3}}]), bytearray(100_000)],
)
def test_values_come_back(value):
    assert back(value) == value


def test_functions_and_classes_without_a_module_come_back():
    class Local:
        def __init__(self, x):
            self.x = x

    assert back(lambda x: x + 1)(2) == 3
    assert back(Local(5)).x == 5


def test_big_buffers_stay_outside_of_the_pickle_and_are_aligned():
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(100_000)
    serialized = serialization.serialize([array, array + 1])
    assert len(serialized.data) < 2_000
    offsets = [offset for offset, _ in serialized.pieces(b"")[2:]]
    assert offsets and all(offset % 64 == 0 for offset in offsets)
    whole, half = back([array, array[::2]])
    assert (whole == array).all() and (half == array[::2]).all()
    assert not whole.flags.writeable


def test_what_cannot_be_pickled_is_named():
    with pytest.raises(TypeError, match=r"value\['a'\]\[1\].*lock"):
        serialization.serialize({"a": [1, threading.Lock()]})


def test_a_value_that_contains_itself_comes_back():
    value = []
    value.append(value)
    again = back(value)
    assert again[0] is again


def test_an_error_that_does_not_pickle_keeps_its_text():
    class Odd(Exception):
        def __reduce__(self):
            raise RuntimeError("no")

    error = serialization.loads(serialization.dump_error(Odd("what happened")))
    assert "what happened" in str(error)


def test_a_function_that_captures_too_much_is_refused():
    big = bytes(96 << 20)
    with pytest.raises(ValueError, match="too large"):
        serialization.dump_function(lambda: big)
