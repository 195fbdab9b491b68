# Three hosts and a head, network namespaces on one switch, with a node on each host; sourced by scripts
# that test programs on a gang's own network. Expects $bin, the folder of the built `iorun`, and $name, a
# short word. Leaves with 0, loudly, without root. Defines `on HOST COMMAND...` (head, 1, 2, 3), and
# `tap MARKER...` and `expect_cipher` or `expect_clear MARKER`, between which the wire is read.

if [ "$(id -u)" -ne 0 ] || ! command -v ip >/dev/null || [ ! -e /dev/net/tun ]; then
  echo "SKIPPED: $name on three hosts needs root, iproute2 and /dev/net/tun" >&2
  exit 0
fi

id=iorun-$name-$$
state=$(mktemp -d "/tmp/iorun-$name.XXXXXX")
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
# The interpreter lies in this folder, which a sandbox does not show.
for host in 1 2 3; do
  on head "$bin/iorun" ticket create --role supplier |
    on "$host" "$bin/iorun" join - --name "host-$host" --cpus 1 --isolation open \
      >"$state/$host.log" 2>&1 &
done
tries=0
until [ "$(on head "$bin/iorun" nodes --json | grep -o '"state":"alive"' | wc -l)" -eq 3 ]; do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || { cat "$state"/[123].log >&2; exit 1; }
  sleep 0.5
done

# Begins to read the wire, and looks for words that must not be there.
tap() {
  rm -f "$state/tap.in" "$state/tap.out"
  mkfifo "$state/tap.in"
  ip netns exec "$id-switch" scripts/switch-tap.py "$@" <"$state/tap.in" >"$state/tap.out" &
  tap=$!
  exec 9>"$state/tap.in"
  while ! grep -q ready "$state/tap.out"; do sleep 0.1; done
}

end_tap() {
  exec 9>&-
  wait "$tap"
  cat "$state/tap.out"
}

# Ends that: the gang's packets went by in cipher, and none of the words did in clear.
expect_cipher() {
  end_tap
  if grep -q '^seen ' "$state/tap.out"; then
    echo "error: the wire showed in clear what went through the gang's network" >&2
    exit 1
  fi
  if ! grep -q '^tunnelled [1-9][0-9][0-9]' "$state/tap.out"; then
    echo "error: hardly anything went through the gang's network" >&2
    exit 1
  fi
}

# Ends it, and the word was there: the tap sees what goes in clear.
expect_clear() {
  end_tap
  if ! grep -q "^seen $1\$" "$state/tap.out"; then
    echo "error: the tap did not see what went by in clear" >&2
    exit 1
  fi
}
