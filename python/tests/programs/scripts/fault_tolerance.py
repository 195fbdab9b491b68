"""Tasks and actors that crash at random, and a result that is complete all the same."""

import os
import random

import ray


@ray.remote(max_retries=-1)
def flaky(i, folder):
    path = os.path.join(folder, str(i))
    if not os.path.exists(path):
        with open(path, "w"):
            pass
        os._exit(1)
    return i


@ray.remote(max_restarts=-1, max_task_retries=-1)
class FlakyActor:
    def __init__(self):
        self.random = random.Random(os.getpid())

    def work(self, i):
        if self.random.random() < 0.1:
            os._exit(1)
        return i


import tempfile

ray.init(num_cpus=4)
with tempfile.TemporaryDirectory() as folder:
    assert ray.get([flaky.remote(i, folder) for i in range(10)]) == list(range(10))
actor = FlakyActor.remote()
assert ray.get([actor.work.remote(i) for i in range(20)]) == list(range(20))
print("complete")
