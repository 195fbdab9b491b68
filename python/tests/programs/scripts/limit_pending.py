"""Patterns: a bound on pending calls by wait, on memory by resources, on rate by a semaphore."""

import asyncio

import ray


@ray.remote
class Actor:
    async def heavy(self):
        await asyncio.sleep(0.002)
        return 1


@ray.remote
class Semaphore:
    def __init__(self, n):
        self.semaphore = asyncio.Semaphore(n)
        self.inside = 0
        self.most = 0

    async def acquire(self):
        await self.semaphore.acquire()
        self.inside += 1
        self.most = max(self.most, self.inside)

    async def release(self):
        self.inside -= 1
        self.semaphore.release()

    async def peak(self):
        return self.most


@ray.remote(num_cpus=0.25)
def limited(semaphore):
    ray.get(semaphore.acquire.remote())
    try:
        return 1
    finally:
        ray.get(semaphore.release.remote())


@ray.remote(num_cpus=0, memory=1024 * 1024)
def with_memory():
    return 1


ray.init(num_cpus=2)
actor = Actor.remote()
refs, total = [], 0
for _ in range(300):
    if len(refs) >= 50:
        ready, refs = ray.wait(refs, num_returns=10)
        total += sum(ray.get(ready))
    refs.append(actor.heavy.remote())
total += sum(ray.get(refs))
assert total == 300

semaphore = Semaphore.remote(2)
assert sum(ray.get([limited.remote(semaphore) for _ in range(20)])) == 20
assert ray.get(semaphore.peak.remote()) <= 2
assert sum(ray.get([with_memory.remote() for _ in range(10)])) == 10
print("limited", total)
