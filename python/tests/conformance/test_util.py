"""`util`: queue, pools, loops over results, metrics."""

import asyncio
import os
import time

import pytest
from module_under_test import ray, submodule

exceptions = submodule("exceptions")
queues = submodule("util.queue")
util = submodule("util")


@pytest.fixture
def queue(shared):
    queue = queues.Queue()
    yield queue
    queue.shutdown(force=True)


def test_a_queue_keeps_the_order(queue):
    for i in range(10):
        queue.put(i)
    assert queue.qsize() == len(queue) == queue.size() == 10
    assert [queue.get() for _ in range(10)] == list(range(10))
    assert queue.empty()


def test_an_empty_queue(queue):
    with pytest.raises(queues.Empty):
        queue.get(block=False)
    with pytest.raises(queues.Empty):
        queue.get_nowait()
    with pytest.raises(queues.Empty):
        queue.get(timeout=0.05)
    with pytest.raises(ValueError):
        queue.get(timeout=-1)


def test_a_full_queue(shared):
    queue = queues.Queue(maxsize=1)
    queue.put(1)
    assert queue.full()
    with pytest.raises(queues.Full):
        queue.put_nowait(2)
    with pytest.raises(queues.Full):
        queue.put(2, timeout=0.05)
    with pytest.raises(ValueError):
        queue.put(2, timeout=-1)
    queue.shutdown()


def test_batches(shared):
    queue = queues.Queue(maxsize=5)
    queue.put_nowait_batch([1, 2, 3])
    with pytest.raises(queues.Full):
        queue.put_nowait_batch([4, 5, 6])
    assert queue.get_nowait_batch(2) == [1, 2]
    with pytest.raises(queues.Empty):
        queue.get_nowait_batch(2)
    with pytest.raises(TypeError):
        queue.put_nowait_batch(1)
    queue.shutdown(force=True)


def test_a_queue_between_tasks(queue):
    @ray.remote
    def produce(queue, n):
        for i in range(n):
            queue.put(i)

    @ray.remote
    def consume(queue, n):
        return [queue.get() for _ in range(n)]

    found = consume.remote(queue, 20)
    ray.get(produce.remote(queue, 20))
    assert ray.get(found) == list(range(20))


def test_an_async_queue(queue):
    async def main():
        await queue.put_async(1)
        assert await queue.get_async() == 1
        with pytest.raises(queues.Empty):
            await queue.get_async(block=False)
        with pytest.raises(queues.Empty):
            await queue.get_async(timeout=0.05)

    asyncio.run(main())


def test_a_get_that_waits_for_a_put(queue):
    @ray.remote
    def late(queue):
        time.sleep(0.2)
        queue.put("late")

    late.remote(queue)
    assert queue.get(timeout=30) == "late"


@ray.remote
class Doubler:
    def double(self, x):
        return x * 2

    def slow(self, x):
        time.sleep(0.05 * x)
        return x

    def fail(self, x):
        raise ValueError(x)


@pytest.fixture
def pool(shared):
    return util.ActorPool([Doubler.remote(), Doubler.remote()])


def test_actor_pool_map(pool):
    assert list(pool.map(lambda a, v: a.double.remote(v), range(8))) == [2 * i for i in range(8)]


def test_actor_pool_map_unordered(pool):
    found = pool.map_unordered(lambda a, v: a.slow.remote(v), [4, 1, 0, 2])
    assert sorted(found) == [0, 1, 2, 4]


def test_actor_pool_submit(pool):
    for i in range(4):
        pool.submit(lambda a, v: a.double.remote(v), i)
    assert pool.has_next()
    assert [pool.get_next() for _ in range(4)] == [0, 2, 4, 6]
    assert not pool.has_next()
    with pytest.raises(StopIteration):
        pool.get_next()


def test_actor_pool_timeout(pool):
    pool.submit(lambda a, v: a.slow.remote(v), 20)
    with pytest.raises(TimeoutError):
        pool.get_next(timeout=0.05)
    assert pool.get_next() == 20


def test_actor_pool_idle(pool):
    assert pool.has_free()
    actor = pool.pop_idle()
    assert actor is not None
    assert pool.pop_idle() is not None and pool.pop_idle() is None
    pool.push(actor)
    with pytest.raises(ValueError):
        pool.push(actor)


def test_actor_pool_errors(pool):
    pool.submit(lambda a, v: a.fail.remote(v), 1)
    pool.submit(lambda a, v: a.double.remote(v), 2)
    with pytest.raises(ValueError):
        pool.get_next()
    assert pool.get_next() == 4


def square(x):
    return x * x


def add(a, b):
    return a + b


def fail(x):
    raise ValueError(f"no {x}")


@pytest.fixture
def processes(shared):
    multiprocessing = submodule("util.multiprocessing")
    pool = multiprocessing.Pool(2)
    yield pool
    pool.terminate()


def test_pool_map(processes):
    assert processes.map(square, range(10)) == [i * i for i in range(10)]
    assert processes.map(square, [], chunksize=3) == []
    assert processes.map(lambda x: x + 1, (i for i in range(3)), chunksize=2) == [1, 2, 3]


def test_pool_apply(processes):
    assert processes.apply(add, (1, 2)) == 3
    assert processes.apply(add, (1,), {"b": 5}) == 6
    result = processes.apply_async(add, (3, 4))
    assert result.get(timeout=30) == 7
    assert result.ready() and result.successful()


def test_pool_starmap(processes):
    assert processes.starmap(add, [(1, 2), (3, 4)]) == [3, 7]
    assert processes.starmap_async(add, [(1, 2)]).get(timeout=30) == [3]


def test_pool_imap(processes):
    assert list(processes.imap(square, range(20), chunksize=3)) == [i * i for i in range(20)]
    found = list(processes.imap_unordered(square, range(20)))
    assert sorted(found) == [i * i for i in range(20)]


def test_pool_errors(processes):
    with pytest.raises(ValueError, match="no 1"):
        processes.map(fail, [1])
    result = processes.apply_async(fail, (2,))
    result.wait(30)
    assert not result.successful()
    with pytest.raises(ValueError):
        result.get()


def test_pool_callbacks(processes):
    found = []
    processes.apply_async(square, (3,), callback=found.append).get(timeout=30)
    processes.map_async(square, [1, 2], callback=found.append).get(timeout=30)
    deadline = time.monotonic() + 20
    while len(found) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    # Ray hands the results over in the order in which they came.
    assert found[0] == 9 and sorted(found[1]) == [1, 4]
    errors = []
    result = processes.apply_async(fail, (1,), error_callback=errors.append)
    result.wait(30)
    assert len(errors) == 1


def test_pool_timeouts(processes):
    result = processes.apply_async(time.sleep, (2,))
    with pytest.raises(submodule("util.multiprocessing").TimeoutError):
        result.get(timeout=0.05)


def test_pool_initializer(shared):
    def initialize(value):
        import os

        os.environ["POOL_VALUE"] = value

    def read(_):
        import os

        return os.environ.get("POOL_VALUE")

    multiprocessing = submodule("util.multiprocessing")
    with multiprocessing.Pool(2, initializer=initialize, initargs=("set",)) as pool:
        assert pool.map(read, range(4)) == ["set"] * 4


def test_pool_close_and_join(shared):
    pool = submodule("util.multiprocessing").Pool(2)
    result = pool.map_async(square, range(4))
    pool.close()
    with pytest.raises(ValueError):
        pool.map(square, [1])
    pool.join()
    assert result.get(timeout=30) == [0, 1, 4, 9]


def test_as_completed(shared):
    @ray.remote
    def f(x):
        time.sleep(0.05 * x)
        return x

    refs = [f.remote(i) for i in [3, 1, 2, 0]]
    assert sorted(util.as_completed(refs)) == [0, 1, 2, 3]
    refs = [f.remote(i) for i in range(3)]
    assert set(util.as_completed(refs, chunk_size=1, yield_obj_refs=True)) == set(refs)


def test_map_unordered(shared):
    @ray.remote
    def f(x):
        return x * 2

    found = util.map_unordered(f, range(30), backpressure_size=5, chunk_size=2)
    assert sorted(found) == [2 * i for i in range(30)]


def test_inspect_serializability(shared, capsys):
    import threading

    lock = threading.Lock()

    def f():
        return lock

    fine, failures = util.inspect_serializability(f, name="f")
    assert not fine
    [failure] = failures
    assert failure.obj is lock and failure.parent is f and failure.path == ("f", "lock")
    assert "FailTuple(lock [path=f -> lock, obj=" in capsys.readouterr().out
    fine, failures = util.inspect_serializability(lambda: 1, name="g")
    assert fine and not failures
    capsys.readouterr()


def test_log_once():
    assert util.log_once("a key of this test") is True
    assert util.log_once("a key of this test") is False


def test_metrics(shared):
    metrics = submodule("util.metrics")

    @ray.remote
    def f():
        counter = metrics.Counter("things", description="d", tag_keys=("kind",))
        counter.set_default_tags({"kind": "a"})
        counter.inc()
        counter.inc(2.5, tags={"kind": "b"})
        metrics.Gauge("level").set(3)
        metrics.Histogram("times", boundaries=[1, 2]).observe(1.5)
        with pytest.raises(ValueError):
            counter.inc(0)
        return 1

    assert ray.get(f.remote()) == 1


def test_get_node_ip_address(shared):
    assert util.get_node_ip_address().count(".") == 3 or ":" in util.get_node_ip_address()


def test_a_pool_that_is_terminated_fails_what_it_had(shared):
    @ray.remote(num_cpus=0)
    class Never:
        async def wait(self):
            import asyncio

            await asyncio.sleep(1000)

    never = Never.remote()
    pool = submodule("util.multiprocessing").Pool(2)
    result = pool.map_async(lambda actor: ray.get(actor.wait.remote()), [never] * 2)
    assert not result.ready()
    pool.terminate()
    pool.join()
    result.wait(timeout=30)
    assert result.ready() and not result.successful()
    with pytest.raises(submodule("exceptions").RayError):
        result.get()


def test_a_pool_whose_processes_do_one_chunk_each(shared):
    pool = submodule("util.multiprocessing").Pool(3, maxtasksperchild=1)
    assert len(set(pool.map(lambda _: os.getpid(), range(12), chunksize=1))) == 12
    pool.terminate()
    pool.join()
