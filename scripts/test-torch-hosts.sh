#!/bin/sh
# Runs examples/pytorch-ddp, and an all-reduce of known bytes, on a gang of three hosts, network
# namespaces on one switch, so that Gloo goes through the gang's own encrypted network; the switch is
# tapped meanwhile. Takes the folder of the built `iorun` and a python3 that has torch. Skips, loudly,
# without root.
set -eu
cd "$(dirname "$0")/.."

bin=$1
python=$2
name=torch
. scripts/three-hosts.sh

# The same bytes over and over, in int32 that are summed with zeros: on the wire they would be seen.
secret=GLOO-HID
mkdir "$state/work"
cat >"$state/work/reduce.py" <<'END'
import os, sys, torch, torch.distributed as dist
dist.init_process_group("gloo")
secret = sys.argv[1].encode()
ones = torch.frombuffer(bytearray(secret * (1 << 17)), dtype=torch.int32)
mine = ones.clone() if dist.get_rank() == 0 else torch.zeros_like(ones)
for _ in range(8):
    total = mine.clone()
    dist.all_reduce(total)
    assert torch.equal(total, ones)
print("reduced", total.numel() * 4, "bytes on", os.environ["GLOO_SOCKET_IFNAME"])
END

tap "$secret"
# A core each, so the three ranks are on three hosts.
on head "$bin/iorun" submit examples/pytorch-ddp/job.yaml --cpus 1 --network gang \
  --env PYTHON="$python"
on head "$bin/iorun" outputs pytorch-ddp | grep -q model.pt
on head "$bin/iorun" submit --ranks 3 --cpus 1 --network gang --working-dir "$state/work" -- \
  "$python" reduce.py "$secret"
expect_cipher
echo "PyTorch trained on three hosts through the gang's own network"
