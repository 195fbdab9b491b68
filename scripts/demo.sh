#!/bin/sh
# The main job from start to end, each command printed before it runs. Takes the folder that holds
# the built `iorun`; keeps its state in a folder of its own, which it removes.
set -eu
cd "$(dirname "$0")/.."

bin=$1
PATH="$bin:$PATH"
IORUN_STATE_DIR=$(mktemp -d /tmp/iorun-demo.XXXXXX)
export PATH IORUN_STATE_DIR
trap 'iorun down >/dev/null 2>&1 || true; rm -rf "$IORUN_STATE_DIR"' EXIT INT TERM

# Prints a command and runs it, both as they stand.
run() {
  printf '\n\033[1m$ %s\033[0m\n' "$1"
  eval "$1"
}

run 'iorun up --nodes 3'
run 'iorun nodes'
run 'iorun submit examples/train-digits/job.yaml'
run 'iorun outputs train-digits --to "$IORUN_STATE_DIR/result"'
run 'ls -l "$IORUN_STATE_DIR/result"'
run 'tail -n 9 "$IORUN_STATE_DIR/result/metrics.json"'
run "iorun submit --ranks 3 --cpus 0.5 -- sh -c 'echo rank \$RANK of \$WORLD_SIZE, rank 0 is at \$MASTER_ADDR'"
run 'iorun status'
run 'iorun down'

printf '\nThe network was trained by three ranks that agree on every parameter.\n'
