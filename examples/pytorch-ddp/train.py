"""Trains a small network on handwritten digits, data-parallel over the ranks of a gang.

Plain PyTorch: it finds the other ranks by the variables that iorun sets for each rank (RANK,
WORLD_SIZE, MASTER_ADDR, MASTER_PORT, GLOO_SOCKET_IFNAME), so the same file runs under torchrun.
"""

import datetime
import os
import pathlib
import sys
import time

import numpy
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DistributedSampler

DIGITS = pathlib.Path(__file__).resolve().parent.parent / "train-digits" / "digits.csv"
HELD_OUT = 360
EPOCHS = 25
BATCH = 96  # images a step, over all ranks together
GOAL = 0.95
SEED = 1


def load_digits():
    """The images as rows of 64 values from 0 to 1, with their labels: to train on, held out."""
    rows = numpy.loadtxt(DIGITS, delimiter=",", dtype=numpy.int64)
    order = numpy.random.default_rng(SEED).permutation(len(rows))
    rows = torch.from_numpy(rows[order])
    images, labels = rows[:, :64].float() / 16, rows[:, 64]
    return (images[HELD_OUT:], labels[HELD_OUT:]), (images[:HELD_OUT], labels[:HELD_OUT])


def check_ranks_agree(model):
    """Raises where one rank holds another parameter than the others."""
    mine = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    lowest, highest = mine.clone(), mine.clone()
    dist.all_reduce(lowest, dist.ReduceOp.MIN)
    dist.all_reduce(highest, dist.ReduceOp.MAX)
    if not torch.equal(lowest, highest):
        raise RuntimeError("the ranks ended with different parameters")


def save(model, path):
    """Leaves the whole file or none."""
    torch.save(model.state_dict(), path + ".part")
    os.replace(path + ".part", path)


def train(rank, world_size):
    """Returns the model and its accuracy on the held-out images."""
    (images, labels), (held_out_images, held_out_labels) = load_digits()
    sampler = DistributedSampler(images, num_replicas=world_size, rank=rank, seed=SEED)
    per_rank = max(1, BATCH // world_size)

    torch.manual_seed(SEED)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    parallel = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(parallel.parameters(), lr=0.1, momentum=0.9)
    loss_of = nn.CrossEntropyLoss()

    accuracy = 0.0
    for epoch in range(1, EPOCHS + 1):
        sampler.set_epoch(epoch)
        losses = []
        for batch in torch.tensor(list(sampler)).split(per_rank):
            optimizer.zero_grad()
            loss = loss_of(parallel(images[batch]), labels[batch])
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        mean_loss = torch.stack(losses).mean()
        dist.all_reduce(mean_loss)
        with torch.no_grad():
            hits = model(held_out_images).argmax(dim=1) == held_out_labels
        accuracy = hits.float().mean().item()
        if rank == 0:
            print(
                f"epoch {epoch}/{EPOCHS}  loss {mean_loss.item() / world_size:.4f}  "
                f"accuracy {accuracy * 100:.1f} %  (held out)",
                flush=True,
            )
    check_ranks_agree(model)
    return model, accuracy


def main():
    started = time.monotonic()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    # Without a limit, a rank whose neighbour never starts would wait half an hour.
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
    rank, world_size = dist.get_rank(), dist.get_world_size()
    try:
        model, accuracy = train(rank, world_size)
        if rank == 0:
            save(model, "model.pt")
            seconds = time.monotonic() - started
            print(f"{world_size} ranks agree; model.pt written after {seconds:.1f} s", flush=True)
        dist.barrier()
    finally:
        dist.destroy_process_group()
    if accuracy < GOAL:
        sys.exit(f"accuracy {accuracy * 100:.1f} % is below the goal of {GOAL * 100:.0f} %")


if __name__ == "__main__":
    main()
