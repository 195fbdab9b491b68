"""Counts words: map tasks with several results, reduce tasks that take them apart."""

import collections

import ray

TEXT = """beautiful is better than ugly
explicit is better than implicit
simple is better than complex
complex is better than complicated
flat is better than nested"""


def partition_of(word, count):
    return sum(map(ord, word)) % count


@ray.remote
def apply_map(lines, partitions):
    results = [[] for _ in range(partitions)]
    for line in lines:
        for word in line.split():
            results[partition_of(word, partitions)].append((word, 1))
    return results


@ray.remote
def apply_reduce(*results):
    counts = collections.Counter()
    for result in results:
        for word, n in result:
            counts[word] += n
    return counts


if __name__ == "__main__":
    ray.init(num_cpus=2)
    lines = TEXT.split("\n")
    partitions = 3
    maps = [apply_map.options(num_returns=partitions).remote([line], partitions) for line in lines]
    reduces = [apply_reduce.remote(*[result[i] for result in maps]) for i in range(partitions)]
    total = collections.Counter()
    for counts in ray.get(reduces):
        total.update(counts)
    assert total["is"] == 5 and total["complex"] == 2 and total["better"] == 5
    print(total.most_common(3))
