"""A supervisor of supervisors of workers."""

import ray


@ray.remote(num_cpus=0.1)
class Worker:
    def work(self, x):
        return x * x


@ray.remote(num_cpus=0.1)
class Supervisor:
    def __init__(self, depth):
        kind = Worker if depth == 0 else Supervisor
        arguments = () if depth == 0 else (depth - 1,)
        self.children = [kind.remote(*arguments) for _ in range(2)]

    def work(self, x):
        return sum(ray.get([child.work.remote(x + i) for i, child in enumerate(self.children)]))


ray.init(num_cpus=2)
root = Supervisor.remote(2)


def expected(x, depth):
    if depth < 0:
        return x * x
    return expected(x, depth - 1) + expected(x + 1, depth - 1)


assert ray.get(root.work.remote(3)) == expected(3, 2)
print("sum", ray.get(root.work.remote(3)))
