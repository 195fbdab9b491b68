"""Adds up vectors in a tree of tasks: no value ever comes to the driver but the last."""

import numpy as np
import ray


@ray.remote
def create_matrix(seed):
    return np.full((100, 100), seed, dtype=np.int64)


@ray.remote
def add(x, y):
    return x + y


@ray.remote
def aggregate(refs):
    """Takes refs, not values, and starts tasks of its own."""
    refs = list(refs)
    while len(refs) > 1:
        refs = refs[2:] + [add.remote(refs[0], refs[1])]
    return refs[0]


ray.init(num_cpus=4)
leaves = [create_matrix.remote(i) for i in range(16)]
halves = [aggregate.remote(leaves[:8]), aggregate.remote(leaves[8:])]
total = add.remote(*ray.get(halves))
assert ray.get(total)[0, 0] == sum(range(16))
print("total", ray.get(total)[0, 0])
