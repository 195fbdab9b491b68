"""Two stages; the second begins with whatever of the first is ready, a bounded number in flight."""

import random
import time

import ray


@ray.remote
def load(i):
    time.sleep(random.random() * 0.05)
    return list(range(i))


@ray.remote
def process(data):
    return sum(data)


def main():
    pending, sums, next_item = [], [], 0
    while next_item < 30 or pending:
        while next_item < 30 and len(pending) < 5:
            pending.append(load.remote(next_item))
            next_item += 1
        ready, pending = ray.wait(pending, num_returns=1)
        sums.append(process.remote(ready[0]))
    assert sorted(ray.get(sums)) == [sum(range(i)) for i in range(30)]
    print("processed", len(sums))


ray.init(num_cpus=3)
main()
