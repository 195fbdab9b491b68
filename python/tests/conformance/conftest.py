"""Fixtures: a network that tests share, or one of a test's own."""

import time

import pytest
from module_under_test import IS_RAY, ray

SHARED = {"num_cpus": 4, "resources": {"custom": 2, "special": 1}, "log_to_driver": False}

if IS_RAY:
    SHARED["include_dashboard"] = False
    SHARED["object_store_memory"] = 400 * 2**20

_shared_is_up = False


@pytest.fixture
def shared():
    """A network of one node with 4 CPUs that other tests use, too: leave nothing behind."""
    global _shared_is_up
    if not (_shared_is_up and ray.is_initialized()):
        if ray.is_initialized():
            ray.shutdown()
        ray.init(**SHARED)
        _shared_is_up = True
    yield ray


@pytest.fixture
def fresh():
    """No network: the test calls `init` itself, and whatever it leaves is shut down."""
    global _shared_is_up
    if ray.is_initialized():
        ray.shutdown()
    _shared_is_up = False
    yield ray
    if ray.is_initialized():
        ray.shutdown()


@pytest.fixture(scope="session", autouse=True)
def last():
    """Shuts down what the last test left."""
    yield
    if ray.is_initialized():
        ray.shutdown()


def wait_until(condition, seconds=20, step=0.02):
    """Waits until the condition holds; fails the test after that many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not true within {seconds} s: {condition}"
        time.sleep(step)


@pytest.fixture
def until():
    """`wait_until`."""
    return wait_until
