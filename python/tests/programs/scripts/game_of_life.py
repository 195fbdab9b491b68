"""Conway's game of life on a torus, in stripes; each actor has a stripe and asks its neighbours."""

import numpy as np
import ray


def step(grid):
    neighbours = sum(
        np.roll(np.roll(grid, i, 0), j, 1)
        for i in (-1, 0, 1)
        for j in (-1, 0, 1)
        if (i, j) != (0, 0)
    )
    return ((neighbours == 3) | ((grid == 1) & (neighbours == 2))).astype(np.int8)


@ray.remote
class Stripe:
    def __init__(self, rows):
        self.rows = rows

    def edges(self):
        return self.rows[0].copy(), self.rows[-1].copy()

    def advance(self, above, below):
        padded = np.vstack([above[1], self.rows, below[0]])
        self.rows = step(padded)[1:-1]

    def read(self):
        return self.rows


ray.init(num_cpus=4)
generator = np.random.default_rng(0)
grid = generator.integers(0, 2, size=(24, 16), dtype=np.int8)
stripes = [Stripe.options(num_cpus=0).remote(part) for part in np.split(grid, 4)]
for _ in range(10):
    edges = [stripe.edges.remote() for stripe in stripes]
    ray.get(
        [
            stripe.advance.remote(edges[i - 1], edges[(i + 1) % len(stripes)])
            for i, stripe in enumerate(stripes)
        ]
    )
    grid = step(grid)
assert np.array_equal(np.vstack(ray.get([stripe.read.remote() for stripe in stripes])), grid)
print("alive", int(grid.sum()))
