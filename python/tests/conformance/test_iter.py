"""Iterators over items that actors make, and groups of actors."""

import time
from collections import Counter

import pytest
from module_under_test import ray, submodule

iterators = submodule("util.iter")
actor_group = submodule("util.actor_group")


@pytest.fixture(autouse=True)
def network(shared):
    """The iterators' actors need more CPUs than there are, if they take any."""
    return shared


def test_sources_and_their_order():
    items = iterators.from_items([1, 2, 3, 4])
    assert repr(items) == "ParallelIterator[from_items[int, 4, shards=2]]"
    assert list(items.gather_sync()) == [1, 2, 3, 4]
    assert list(iterators.from_range(5).gather_sync()) == [0, 2, 1, 3, 4]
    lists = iterators.from_iterators([range(2), lambda: iter("ab")])
    assert list(lists.gather_sync()) == [0, "a", 1, "b"]
    assert iterators.from_items([1, 2, 3], repeat=True).take(5) == [1, 2, 3, 2, 1]
    with pytest.raises(TypeError):
        iter(items)


def test_steps_run_in_the_shards_and_here():
    def doubled(items):
        for item in items:
            yield 2 * item

    for gather in (lambda it: it.gather_sync(), lambda it: it.gather_async(batch_ms=5)):
        items = iterators.from_range(6).transform(doubled).filter(lambda x: x != 4)
        assert sorted(gather(items)) == [0, 2, 6, 8, 10]
        assert sorted(gather(iterators.from_range(3)).combine(lambda x: [x] * x)) == [1, 2, 2]
    items = iterators.from_range(5, 1)
    assert list(items.batch(2).gather_sync()) == [[0, 1], [2, 3], [4]]
    assert list(items.batch(2).flatten().for_each(str).gather_sync()) == list("01234")
    shuffled = iterators.from_range(20, 1).local_shuffle(5, seed=1).gather_sync()
    assert sorted(shuffled) == list(range(20))
    concurrent = iterators.from_range(6).for_each(lambda x: -x, 2, {"num_cpus": 0.1})
    assert sorted(concurrent.gather_async()) == [-5, -4, -3, -2, -1, 0]


def test_shards_travel_and_are_dealt_anew():
    items = iterators.from_items(list(range(6)), num_shards=3)

    @ray.remote
    def read(items, shard):
        return list(items.get_shard(shard, batch_ms=1, num_async=2))

    assert ray.get([read.remote(items, i) for i in range(3)]) == [[0, 3], [1, 4], [2, 5]]
    with pytest.raises(ValueError):
        items.get_shard(3)
    items = iterators.from_items(list(range(6)), num_shards=3)
    assert list(items.select_shards([0, 2]).gather_sync()) == [0, 2, 3, 5]
    parts = iterators.from_range(7, 2).repartition(3)
    assert parts.num_shards() == 3
    assert sorted(sum((list(shard) for shard in parts.shards()), [])) == list(range(7))


def test_unions_sources_and_copies():
    letters, numbers = iterators.from_items("ab", 1), iterators.from_range(2, 1)
    assert list(letters.union(numbers).gather_sync()) == ["a", 0, "b", 1]
    letters, numbers = iterators.from_items("ab", 1), iterators.from_range(2, 1)
    both = letters.gather_async().union(numbers.gather_async(), deterministic=True)
    assert list(both) == ["a", 0, "b", 1]

    def slowly():
        for i in range(3):
            time.sleep(0.3)
            yield f"slow{i}"

    fast = iterators.from_range(10, 1).gather_async()
    slow = iterators.from_iterators([slowly]).gather_async()
    assert list(fast.union(slow))[-1] == "slow2"
    pairs = iterators.from_range(4).gather_async().zip_with_source_actor()
    assert sorted(Counter(actor for actor, _ in pairs).values()) == [2, 2]
    one, other = iterators.from_range(3, 1).gather_sync().duplicate(2)
    assert one.union(other, deterministic=False).take(9) == [0, 0, 1, 1, 2, 2]


def test_counters_of_steps():
    local = iterators.LocalIterator

    def running_sum(x):
        counters = local.get_metrics().counters
        counters["sum"] += x
        return counters["sum"]

    sums = iterators.from_range(4, 1).gather_sync().for_each(running_sum)
    assert list(sums) == [0, 1, 3, 6]


def test_a_group_of_actors():
    class Adder:
        def __init__(self, start, step=1):
            self.value = start
            self.step = step

        def add(self, times):
            self.value += times * self.step
            return self.value

    group = actor_group.ActorGroup(
        Adder, num_actors=2, num_cpus_per_actor=0, init_args=(10,), init_kwargs={"step": 2}
    )
    assert len(group) == 2
    assert ray.get(group.add.remote(3)) == [16, 16]
    assert ray.get(group[0].actor.add.remote(0)) == 16
    with pytest.raises(TypeError):
        group.add(1)
    with pytest.raises(RuntimeError):
        group.start()
    group.add_actors(1)
    assert sorted(ray.get(group.add.remote(0))) == [10, 16, 16]
    group.shutdown(patience_s=0)
    with pytest.raises(RuntimeError):
        group.add.remote(1)
    with pytest.raises(ValueError):
        actor_group.ActorGroup(Adder, num_actors=0)
