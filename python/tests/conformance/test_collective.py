"""Collective operations between actors."""

import pytest
from module_under_test import IS_RAY, ray, submodule

numpy = pytest.importorskip("numpy")
if IS_RAY:
    pytest.importorskip("torch", reason="Ray's gloo groups need torch")
collective = submodule("util.collective")
ReduceOp = submodule("util.collective.types").ReduceOp


@ray.remote(num_cpus=0)
class Member:
    def __init__(self, rank=0):
        self.rank = rank

    def join(self, world_size, rank, name):
        collective.init_collective_group(world_size, rank, "gloo", name)
        self.rank = rank
        return collective.get_rank(name), collective.get_collective_group_size(name)

    def allreduce(self, name, size, op=ReduceOp.SUM):
        array = numpy.full(size, self.rank + 1, dtype=numpy.float64)
        collective.allreduce(array, name, op)
        return array[0], array[-1], array.shape

    def all_kinds(self, name, world_size, size):
        """Everything but allreduce, one after the other; what each gave."""
        own = numpy.arange(size, dtype=numpy.int64) + 100 * self.rank
        gathered = [numpy.zeros_like(own) for _ in range(world_size)]
        collective.allgather(gathered, own, name)
        share = numpy.zeros_like(own)
        parts = [numpy.full(size, i * (self.rank + 1)) for i in range(world_size)]
        collective.reducescatter(share, parts, name)
        sent = own.copy()
        collective.broadcast(sent, 1, name)
        total = own.copy()
        collective.reduce(total, 0, name)
        collective.barrier(name)
        right, left = (self.rank + 1) % world_size, (self.rank - 1) % world_size
        collective.send(own, right, name)
        came = numpy.zeros_like(own)
        collective.recv(came, left, name)
        collective.barrier(name)
        return (
            [int(g[0]) for g in gathered],
            int(share[0]),
            int(sent[0]),
            int(total[0]),
            int(came[0]),
        )

    def leave(self, name):
        collective.destroy_collective_group(name)
        return collective.is_group_initialized(name)

    def wrong(self, name):
        errors = []
        for call in (
            lambda: collective.allreduce(numpy.zeros(2), "no such group"),
            lambda: collective.send(numpy.zeros(2), self.rank, name),
            lambda: collective.broadcast(numpy.zeros(2), 99, name),
            lambda: collective.allreduce([1, 2], name),
            lambda: collective.init_collective_group(2, self.rank, "gloo", name),
            lambda: collective.init_collective_group(2, 0, "mpi", "other"),
        ):
            try:
                call()
                errors.append(None)
            except (RuntimeError, ValueError) as error:
                errors.append(type(error).__name__)
        return errors


def group(name, world_size):
    members = [Member.remote() for _ in range(world_size)]
    joined = ray.get([m.join.remote(world_size, i, name) for i, m in enumerate(members)])
    assert joined == [(i, world_size) for i in range(world_size)]
    return members


@pytest.mark.parametrize("size", [4, 20_000, 300_001])
def test_allreduce(shared, size):
    members = group(f"sum-{size}", 3)
    found = ray.get([m.allreduce.remote(f"sum-{size}", size) for m in members])
    assert found == [(6.0, 6.0, (size,))] * 3
    found = ray.get([m.allreduce.remote(f"sum-{size}", size, ReduceOp.MAX) for m in members])
    assert found == [(3.0, 3.0, (size,))] * 3
    assert ray.get([m.leave.remote(f"sum-{size}") for m in members]) == [False] * 3


@pytest.mark.parametrize("size", [2, 10_000])
def test_the_other_operations(shared, size):
    name = f"kinds-{size}"
    members = group(name, 3)
    found = ray.get([m.all_kinds.remote(name, 3, size) for m in members])
    for rank, (gathered, share, sent, total, came) in enumerate(found):
        assert gathered == [0, 100, 200]
        assert share == rank * (1 + 2 + 3)
        assert sent == 100
        assert total == (300 if rank == 0 else rank * 100)
        assert came == 100 * ((rank - 1) % 3)
    ray.get([m.leave.remote(name) for m in members])


def test_a_group_that_the_driver_makes(shared):
    members = [Member.remote(rank) for rank in (1, 0)]
    collective.create_collective_group(members, 2, [1, 0], "gloo", "declared")
    found = ray.get([m.allreduce.remote("declared", 8) for m in members])
    assert [f[0] for f in found] == [3.0, 3.0]
    with pytest.raises(RuntimeError):
        collective.create_collective_group(members, 2, [0, 1], "gloo", "declared")
    with pytest.raises(RuntimeError):
        collective.create_collective_group(members, 2, [0, 0], "gloo", "other")
    collective.destroy_collective_group("declared")


def test_what_is_refused(shared):
    members = group("wrong", 2)
    errors = ray.get(members[0].wrong.remote("wrong"))
    assert None not in errors
    ray.get([m.leave.remote("wrong") for m in members])


@pytest.mark.skipif(IS_RAY, reason="Ray's message is gloo's")
def test_a_member_that_does_not_come_is_named(shared):
    @ray.remote(num_cpus=0)
    class Alone:
        def wait(self):
            collective.init_collective_group(2, 0, "gloo", "alone", gloo_timeout=200)
            collective.barrier("alone")

    with pytest.raises(TimeoutError, match=r"Ranks \[1\] did not take part in operation barrier"):
        ray.get(Alone.remote().wait.remote())
