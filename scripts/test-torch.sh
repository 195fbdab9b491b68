#!/bin/sh
# Runs examples/pytorch-ddp on a local network of three nodes. Takes the folder of the built `iorun`.
# Skips, loudly, where no torch can be had.
set -eu
cd "$(dirname "$0")/.."

bin=$1
status=0
scripts/install-torch.sh .venv || status=$?
if [ "$status" -eq 3 ]; then
  echo "SKIPPED: examples/pytorch-ddp was not tested, because no torch can be had here" >&2
  exit 0
fi
[ "$status" -eq 0 ] || exit "$status"

IORUN_STATE_DIR=$(mktemp -d /tmp/iorun-torch.XXXXXX)
export IORUN_STATE_DIR
trap '"$bin/iorun" down >/dev/null 2>&1 || true; rm -rf "$IORUN_STATE_DIR"' EXIT INT TERM

"$bin/iorun" up --nodes 3
"$bin/iorun" submit examples/pytorch-ddp/job.yaml --env PYTHON="$PWD/.venv/bin/python3"
"$bin/iorun" outputs pytorch-ddp
"$bin/iorun" outputs pytorch-ddp | grep -q model.pt

scripts/test-torch-hosts.sh "$bin" "$PWD/.venv/bin/python3"
