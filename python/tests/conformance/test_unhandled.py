"""Errors of tasks that nobody asks for are told of."""

import time

import pytest
from module_under_test import ray, submodule

private = submodule("_private.worker")


@ray.remote(max_retries=0)
def fail(text):
    raise ValueError(text)


@pytest.fixture
def told(shared, monkeypatch):
    errors = []
    monkeypatch.setattr(private, "_unhandled_error_handler", lambda e: errors.append(str(e)))
    return errors


def wait_until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        ray.wait([ray.put(1)])
        time.sleep(0.05)


def test_an_error_whose_reference_goes_is_told_of(told):
    fail.remote("dropped at once")
    wait_until(lambda: any("dropped at once" in text for text in told))


def test_an_error_that_was_kept_is_told_of_when_its_reference_goes(told):
    @ray.remote
    class Counter:
        def add(self):
            return 1

        def fail(self):
            raise ValueError("kept")

    actor = Counter.remote()
    ref = actor.fail.remote()
    # Calls run in order: this one's answer comes after the error.
    assert ray.get(actor.add.remote()) == 1 and not told
    del ref
    wait_until(lambda: any("kept" in text for text in told))
    assert len(told) == 1


def test_an_error_that_somebody_gets_is_not(told):
    @ray.remote
    def use(x):
        return x

    ref = fail.remote("seen")
    with pytest.raises(ValueError):
        ray.get(ref)
    refs = [fail.remote("seen, too"), fail.remote("and this")]
    with pytest.raises(ValueError):
        ray.get(use.remote(refs[0]))
    with pytest.raises(ValueError):
        refs[1].future().result(30)
    waited = fail.remote("waited for")
    ray.wait([waited])
    del ref, refs, waited
    fail.remote("the last")
    wait_until(lambda: any("the last" in text for text in told))
    assert len(told) == 1


def test_what_was_cancelled_is_no_error(told):
    @ray.remote
    def long():
        time.sleep(600)

    ref = long.remote()
    ray.cancel(ref, force=True)
    ray.wait([ref])
    del ref
    fail.remote("the last")
    wait_until(lambda: any("the last" in text for text in told))
    assert len(told) == 1
