"""Batch prediction: a model in the object store, a pool of actors that hold it."""

import numpy as np
import ray
from ray.util.actor_pool import ActorPool


class Model:
    def __init__(self):
        self.weights = np.arange(100_000, dtype=np.float64)

    def __call__(self, batch):
        return batch * self.weights[: len(batch)]


@ray.remote
class Predictor:
    def __init__(self, model):
        self.model = model

    def predict(self, batch):
        return float(self.model(batch).sum())


ray.init(num_cpus=3)
model = ray.put(Model())
pool = ActorPool([Predictor.remote(model) for _ in range(3)])
batches = [np.ones(100) * i for i in range(20)]
results = list(pool.map(lambda actor, batch: actor.predict.remote(batch), batches))
assert results == [4950.0 * i for i in range(20)]
print("predicted", len(results))
