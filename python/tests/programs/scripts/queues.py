"""Producers and consumers that share a bounded queue, and a loader whose shards stream batches."""

import asyncio

import numpy as np
import ray
from ray.util.queue import Empty, Full, Queue

ray.init(num_cpus=4)


@ray.remote
def producer(queue, first, count):
    for item in range(first, first + count):
        queue.put(item)
    return "done"


@ray.remote
def consumer(queue):
    taken = []
    try:
        while True:
            taken.append(queue.get(block=True, timeout=2))
    except Empty:
        return taken


@ray.remote
class Shard:
    def __init__(self, rank, world, data):
        self.data = np.array_split(data, world)[rank]

    def batches(self, size):
        for start in range(0, len(self.data), size):
            yield self.data[start : start + size]


queue = Queue(maxsize=10)
producers = [producer.remote(queue, 20 * number, 20) for number in range(2)]
consumers = [consumer.remote(queue) for _ in range(2)]
assert ray.get(producers) == ["done", "done"]
assert sorted(sum(ray.get(consumers), [])) == list(range(40))
queue.put_nowait_batch([1, 2, 3])
assert queue.get_nowait_batch(2) == [1, 2] and queue.qsize() == len(queue) == 1
assert queue.get_nowait() == 3 and queue.empty()
queue.shutdown()

small = Queue(maxsize=1, actor_options={"num_cpus": 0})
small.put("first")
for options in ({"block": False}, {"timeout": 0.1}):
    try:
        small.put("second", **options)
        raise AssertionError("the queue is full")
    except Full:
        pass


async def turn():
    item = await small.get_async()
    await small.put_async(item + " again")
    return await small.get_async()


assert asyncio.run(turn()) == "first again"
small.shutdown(force=True)

data = ray.put(np.arange(100))
shards = [Shard.remote(rank, 4, data) for rank in range(4)]
streams = [shard.batches.options(num_returns="streaming").remote(10) for shard in shards]
total = sum(int(ray.get(batch).sum()) for stream in streams for batch in stream)
assert total == 4950
print("40 items through the queue, the sum of all batches is", total)
