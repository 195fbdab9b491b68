"""A source streams batches; workers transform each as it comes; a sink adds up."""

import numpy as np
import ray


@ray.remote
def source(n):
    for i in range(n):
        yield np.full(20_000, i)


@ray.remote
def transform(batch):
    return batch * 2


@ray.remote
class Sink:
    def __init__(self):
        self.total = 0

    def add(self, batch):
        self.total += int(batch.sum())

    def read(self):
        return self.total


ray.init(num_cpus=4)
sink = Sink.remote()
done = [sink.add.remote(transform.remote(ref)) for ref in source.remote(10)]
ray.get(done)
assert ray.get(sink.read.remote()) == sum(range(10)) * 2 * 20_000
print("streamed", len(done))
