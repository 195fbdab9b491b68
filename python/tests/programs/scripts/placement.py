"""A gang in a placement group, whose members talk to each other."""

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy


@ray.remote(num_cpus=1)
class Member:
    def __init__(self, rank):
        self.rank = rank

    def set_peers(self, peers):
        self.peers = peers

    def value(self):
        return self.rank

    def all_reduce(self):
        others = [peer.value.remote() for i, peer in enumerate(self.peers) if i != self.rank]
        return self.rank + sum(ray.get(others))


ray.init(num_cpus=4)
group = placement_group([{"CPU": 1}] * 3, strategy="PACK")
ray.get(group.ready())
members = [
    Member.options(
        max_concurrency=4,
        scheduling_strategy=PlacementGroupSchedulingStrategy(
            placement_group=group, placement_group_bundle_index=i
        ),
    ).remote(i)
    for i in range(3)
]
ray.get([member.set_peers.remote(members) for member in members])
assert ray.get([member.all_reduce.remote() for member in members]) == [3, 3, 3]
remove_placement_group(group)
print("reduced")
