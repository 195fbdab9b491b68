"""Gradient descent with a parameter server: synchronous, then asynchronous."""

import numpy as np
import ray


@ray.remote
class ParameterServer:
    def __init__(self, size, rate):
        self.weights = np.zeros(size)
        self.rate = rate

    def apply_gradients(self, *gradients):
        self.weights = self.weights - self.rate * np.mean(gradients, axis=0)
        return self.weights

    def get_weights(self):
        return self.weights


@ray.remote
class DataWorker:
    def __init__(self, seed, target):
        generator = np.random.default_rng(seed)
        self.x = generator.normal(size=(200, len(target)))
        self.y = self.x @ target

    def compute_gradients(self, weights):
        error = self.x @ weights - self.y
        return self.x.T @ error / len(self.y)


def main():
    target = np.arange(5.0)
    server = ParameterServer.remote(5, 0.2)
    workers = [DataWorker.remote(i, target) for i in range(3)]
    weights = server.get_weights.remote()
    for _ in range(40):
        gradients = [worker.compute_gradients.remote(weights) for worker in workers]
        weights = server.apply_gradients.remote(*gradients)
    assert np.allclose(ray.get(weights), target, atol=0.1)

    server = ParameterServer.remote(5, 0.1)
    weights = server.get_weights.remote()
    gradients = {worker.compute_gradients.remote(weights): worker for worker in workers}
    for _ in range(150):
        [ready], _ = ray.wait(list(gradients))
        worker = gradients.pop(ready)
        weights = server.apply_gradients.remote(ready)
        gradients[worker.compute_gradients.remote(weights)] = worker
    assert np.allclose(ray.get(weights), target, atol=0.3)
    print("converged")


ray.init(num_cpus=4)
main()
ray.shutdown()
