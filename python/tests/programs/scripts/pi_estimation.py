"""Estimates pi: tasks draw points, an actor counts how far they are."""

import random

import ray


@ray.remote
class ProgressActor:
    def __init__(self, total):
        self.total = total
        self.done = {}

    def report(self, task, done):
        self.done[task] = done

    def progress(self):
        return sum(self.done.values()) / self.total


@ray.remote
def sampling_task(samples, task, progress):
    generator = random.Random(task)
    inside = 0
    for i in range(samples):
        x, y = generator.uniform(-1, 1), generator.uniform(-1, 1)
        inside += x * x + y * y <= 1
        if (i + 1) % 5_000 == 0:
            progress.report.remote(task, i + 1)
    progress.report.remote(task, samples)
    return inside


def main():
    tasks, samples = 6, 20_000
    progress = ProgressActor.remote(tasks * samples)
    results = [sampling_task.remote(samples, i, progress) for i in range(tasks)]
    inside = sum(ray.get(results))
    pi = 4 * inside / (tasks * samples)
    while ray.get(progress.progress.remote()) < 1:
        pass
    assert abs(pi - 3.14159) < 0.05
    print("pi is about", round(pi, 2))


ray.init(num_cpus=2)
main()
