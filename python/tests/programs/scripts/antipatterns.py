"""What one should not do, and what works nevertheless."""

import numpy as np
import ray

ray.init(num_cpus=2)

results = []


@ray.remote
def append(x):
    # Globals are copied: the driver's list stays empty.
    results.append(x)
    return len(results)


assert ray.get(append.remote(1)) >= 1 and results == []

large = np.arange(1_000_000)


@ray.remote
def captured():
    # A large object in a closure.
    return int(large.sum())


assert ray.get(captured.remote()) == int(large.sum())


@ray.remote
def by_value(x):
    return int(x[-1])


# The same large argument again and again.
assert ray.get([by_value.remote(large) for _ in range(5)]) == [999_999] * 5

# get in a loop.
assert [ray.get(by_value.remote(large[:i])) for i in range(1, 4)] == [0, 1, 2]


@ray.remote
def outer():
    # put of a result that could have been returned.
    return ray.put(5)


assert ray.get(ray.get(outer.remote())) == 5

# A remote function that is defined anew in each turn.
total = 0
for i in range(5):

    @ray.remote
    def again():
        return i

    total += ray.get(again.remote())
assert total == 10
print("fine")
