"""A counter in shards, each an actor; many tasks count in all of them."""

import ray


@ray.remote
class Shard:
    def __init__(self):
        self.counts = {}

    def add(self, key, n=1):
        self.counts[key] = self.counts.get(key, 0) + n

    def total(self):
        return sum(self.counts.values())


@ray.remote
def count(shards, seed):
    refs = []
    for i in range(200):
        key = (seed * 31 + i * 7) % 50
        refs.append(shards[key % len(shards)].add.remote(key))
    ray.get(refs)


ray.init(num_cpus=4)
shards = [Shard.options(num_cpus=0, name=f"shard-{i}").remote() for i in range(3)]
ray.get([count.remote(shards, i) for i in range(6)])
totals = ray.get([ray.get_actor(f"shard-{i}").total.remote() for i in range(3)])
assert sum(totals) == 1200
print("counted", sum(totals))
