"""Random search of hyperparameters: the best so far, as results come in."""

import random

import ray


def generate_hyperparameters(generator):
    return {"rate": 10 ** generator.uniform(-3, 1), "momentum": generator.uniform(0, 1)}


@ray.remote
def evaluate(parameters, data):
    rate, momentum = parameters["rate"], parameters["momentum"]
    loss = (rate - 0.5) ** 2 + (momentum - 0.9) ** 2
    return loss * len(data) / 1000


ray.init(num_cpus=4)
generator = random.Random(1)
data = ray.put(list(range(1000)))
experiments = {}
for _ in range(40):
    parameters = generate_hyperparameters(generator)
    experiments[evaluate.remote(parameters, data)] = parameters
best, best_parameters = None, None
remaining = list(experiments)
while remaining:
    done, remaining = ray.wait(remaining)
    loss = ray.get(done[0])
    if best is None or loss < best:
        best, best_parameters = loss, experiments[done[0]]
assert best < 1
print("best", sorted(best_parameters))
