"""The module that the tests call `ray`: `iorun`, or whatever IORUN_CONFORMANCE_MODULE names.

With IORUN_CONFORMANCE_MODULE=ray the tests run against Ray itself, which proves that they demand
what Ray does.
"""

import importlib
import os

ray = importlib.import_module(os.environ.get("IORUN_CONFORMANCE_MODULE", "iorun"))

#: Whether the tests run against Ray itself.
IS_RAY = ray.__name__ == "ray"


def submodule(name):
    """A module below the one under test, such as `util.queue`."""
    return importlib.import_module(f"{ray.__name__}.{name}")
