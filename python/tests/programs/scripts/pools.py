"""A pool of actors, and a pool of processes as of the standard library."""

import time

import ray
from ray.util import ActorPool
from ray.util.multiprocessing import Pool

ray.init(num_cpus=4)


@ray.remote
class Worker:
    def double(self, number):
        return 2 * number

    def slowly(self, number):
        time.sleep(0.01 * (number % 3))
        return number


def square(number):
    return number * number


pool = ActorPool([Worker.remote(), Worker.remote()])
assert list(pool.map(lambda actor, value: actor.double.remote(value), range(4))) == [0, 2, 4, 6]
unordered = pool.map_unordered(lambda actor, value: actor.slowly.remote(value), range(10))
assert sorted(unordered) == list(range(10))
for value in range(3):
    pool.submit(lambda actor, value: actor.double.remote(value), value)
results = [pool.get_next()]
while pool.has_next():
    results.append(pool.get_next_unordered(timeout=30))
assert sorted(results) == [0, 2, 4]
idle = pool.pop_idle()
pool.push(idle)
try:
    pool.get_next()
    raise AssertionError("nothing is left")
except StopIteration:
    pass

with Pool(2) as processes:
    assert processes.map(square, range(10)) == [square(number) for number in range(10)]
    assert sorted(processes.imap_unordered(square, range(3), chunksize=1)) == [0, 1, 4]
    pending = processes.apply_async(square, (3,))
    assert pending.get(timeout=30) == 9 and pending.successful()
    assert processes.starmap(lambda left, right: left + right, [(1, 2), (3, 4)]) == [3, 7]
print("both pools did their work")
