#!/bin/sh
# Runs examples/pytorch-ddp on a gang of three hosts, network namespaces on one switch, so that
# Gloo's all-reduce goes through the gang's own encrypted network. Takes the folder of the built
# `iorun` and a python3 that has torch. Skips, loudly, without root.
set -eu
cd "$(dirname "$0")/.."

bin=$1
python=$2
if [ "$(id -u)" -ne 0 ] || ! command -v ip >/dev/null || [ ! -e /dev/net/tun ]; then
  echo "SKIPPED: PyTorch on three hosts needs root, iproute2 and /dev/net/tun" >&2
  exit 0
fi

id=iorun-torch-$$
state=$(mktemp -d /tmp/iorun-torch.XXXXXX)
cleanup() {
  for host in head 1 2 3; do
    for pid in $(ip netns pids "$id-$host" 2>/dev/null); do kill -9 "$pid" 2>/dev/null || true; done
  done
  for host in switch head 1 2 3; do ip netns delete "$id-$host" 2>/dev/null || true; done
  rm -rf "$state"
}
trap cleanup EXIT INT TERM

on() {
  host=$1
  shift
  IORUN_STATE_DIR="$state/$host" ip netns exec "$id-$host" "$@"
}

for host in switch head 1 2 3; do
  ip netns add "$id-$host"
  ip -n "$id-$host" link set lo up
done
ip -n "$id-switch" link add switch type bridge
ip -n "$id-switch" link set switch up
number=0
for host in head 1 2 3; do
  number=$((number + 1))
  ip -n "$id-switch" link add "port$number" type veth peer name eth0 netns "$id-$host"
  ip -n "$id-switch" link set "port$number" master switch up
  ip -n "$id-$host" address add "10.215.0.$number/24" dev eth0
  ip -n "$id-$host" link set eth0 up
done

on head "$bin/iorun" head --listen 0.0.0.0:7070 --verification off >"$state/head.log" 2>&1 &
tries=0
until on head "$bin/iorun" status >/dev/null 2>&1; do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || { cat "$state/head.log" >&2; exit 1; }
  sleep 0.5
done
for host in 1 2 3; do
  on head "$bin/iorun" ticket create --role supplier |
    on "$host" "$bin/iorun" join - --name "host-$host" --cpus 1 >"$state/$host.log" 2>&1 &
done
tries=0
until [ "$(on head "$bin/iorun" nodes --json | grep -o '"state":"alive"' | wc -l)" -eq 3 ]; do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || { cat "$state"/[123].log >&2; exit 1; }
  sleep 0.5
done

# A core each, so the three ranks are on three hosts.
on head "$bin/iorun" submit examples/pytorch-ddp/job.yaml --cpus 1 --network gang \
  --env PYTHON="$python"
on head "$bin/iorun" outputs pytorch-ddp | grep -q model.pt
echo "PyTorch trained on three hosts through the gang's own network"
