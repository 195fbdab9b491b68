#!/bin/sh
# Runs Dask unchanged on a gang of three hosts, network namespaces on one switch: rank 0 is its
# scheduler, the others are workers, which reach each other by the gang's own encrypted network alone.
# The switch is tapped meanwhile; the same job on the hosts' own network shows that the tap would have
# seen it. Takes the folder of the built `iorun`. Skips, loudly, without root or where pip finds no Dask.
set -eu
cd "$(dirname "$0")/.."

bin=$1
name=dask
venv=$PWD/.venv-dask
if ! [ -x "$venv/bin/python3" ] || ! "$venv/bin/python3" -c 'import distributed' 2>/dev/null; then
  if ! { "${PYTHON:-python3}" -m venv "$venv" &&
    "$venv/bin/python3" -m pip install --quiet 'distributed>=2024.8'; } >&2; then
    echo "SKIPPED: Dask on a gang was not tested, because pip cannot install it here" >&2
    exit 0
  fi
fi
. scripts/three-hosts.sh

mkdir "$state/work"
cat >"$state/work/cluster.py" <<'END'
import asyncio
import os
import sys

from distributed import Client, Scheduler, Worker

secret = sys.argv[1].encode()
master, rank = os.environ["MASTER_ADDR"], int(os.environ["RANK"])
port = int(os.environ["MASTER_PORT"])


def make(count: int) -> bytes:
    return secret * count


def size(blob: bytes) -> tuple:
    from distributed import get_worker

    return len(blob), get_worker().address


async def head() -> None:
    async with Scheduler(host=master, port=port, dashboard=False) as scheduler:
        async with Client(scheduler.address, asynchronous=True) as client:
            await client.wait_for_workers(2)
            first, second = list(scheduler.workers)
            # Made on one worker, read on the other: four megabytes from worker to worker.
            blob = client.submit(make, 1 << 19, workers=[first])
            length, where = await client.submit(size, blob, workers=[second], pure=False)
            assert length == len(secret) << 19 and where == second, (length, where)
            total = await client.gather(client.map(lambda n: n * n, range(1000)))
            assert sum(total) == 332833500
            print("dask moved", length, "bytes and ran 1000 tasks at", scheduler.address, flush=True)
            await client.retire_workers()


async def worker() -> None:
    async with Worker(f"tcp://{master}:{port}", nthreads=1, dashboard=False) as one:
        await one.finished()


asyncio.run(head() if rank == 0 else worker())
END

# The worker finds its own address by the way to the scheduler, as it does anywhere.
run() {
  on head "$bin/iorun" submit --ranks 3 --cpus 1 --timeout 180s --network "$1" \
    --env DASK_DISTRIBUTED__COMM__COMPRESSION=false --working-dir "$state/work" -- \
    "$venv/bin/python3" cluster.py "$2"
}
tap HIDDEN-D OPENLY-D
run gang HIDDEN-D
expect_cipher
tap HIDDEN-D OPENLY-D
run host OPENLY-D
expect_clear OPENLY-D
echo "Dask ran on three hosts through the gang's own network"
