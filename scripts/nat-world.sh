#!/usr/bin/env bash
# Makes or removes a small internet of network namespaces, for tests and for trying by hand:
#
#   a (a machine) - home A - r1 = r2 - r3 - home B - b (a machine)      head - r2
#
#   scripts/nat-world.sh up PREFIX KIND_A KIND_B    makes it; needs root, iproute2 and nftables
#   scripts/nat-world.sh cut PREFIX | mend PREFIX   drops UDP between a and b, or no longer
#   scripts/nat-world.sh down PREFIX                removes it with all processes in it
#
# Kinds: none, full-cone, address-restricted, port-restricted, linux (masquerade that accepts what is
# for the router itself), symmetric, carrier (two routers in a row), udp-blocked, isolated (its LANs do
# not reach each other), hairpin (the same, but what they send to its public address it turns round),
# same-home (b only: on the other LAN of home A). Machine: `ip netns exec PREFIX-a ...`; the head is 192.0.2.2.
# r1 = r2 is a veth pair, or the emulated link of a test (NO_CORE=1 leaves it out).
set -euo pipefail
action=$1
prefix=$2

ns() { echo "$prefix-$1"; }
in_ns() { local where=$1; shift; ip netns exec "$(ns "$where")" "$@"; }

add() {
  ip netns add "$(ns "$1")"
  ip -n "$(ns "$1")" link set lo up
}

# wire ONE DEVICE ADDRESS OTHER DEVICE ADDRESS
wire() {
  ip -n "$(ns "$1")" link add "$2" type veth peer name "$5" netns "$(ns "$4")"
  ip -n "$(ns "$1")" addr add "$3" dev "$2"
  ip -n "$(ns "$4")" addr add "$6" dev "$5"
  ip -n "$(ns "$1")" link set "$2" up
  ip -n "$(ns "$4")" link set "$5" up
}

router() {
  add "$1"
  in_ns "$1" sysctl -qw net.ipv4.ip_forward=1
}

# nat ROUTER KIND INSIDE OUTSIDE: what a router does to packets between its device `wan` and the rest;
# INSIDE is its machine's address, OUTSIDE its own public one.
nat() {
  local rules="table ip nat {
    set seen { type ipv4_addr; flags dynamic, timeout; timeout 1m; }
    chain out { type nat hook postrouting priority 100; $( [ "$2" = symmetric ] \
      && echo 'oifname "wan" masquerade fully-random' || echo 'oifname "wan" masquerade' ); }"
  case $2 in
    full-cone) rules+="
    chain in { type nat hook prerouting priority -100;
      iifname \"wan\" udp dport 1024-65535 dnat to $3; }" ;;
    address-restricted) rules+="
    chain note { type filter hook forward priority 0;
      oifname \"wan\" meta l4proto udp add @seen { ip daddr }; }
    chain in { type nat hook prerouting priority -100;
      iifname \"wan\" ip saddr @seen udp dport 1024-65535 dnat to $3; }" ;;
    port-restricted | symmetric) rules+="
    chain wall { type filter hook input priority 0;
      iifname \"wan\" ct state new drop; }" ;;
    udp-blocked) rules+="
    chain wall { type filter hook forward priority 0; meta l4proto udp drop; }" ;;
    isolated) rules+="
    chain wall { type filter hook forward priority 0; iifname \"lan*\" oifname \"lan*\" drop; }" ;;
    hairpin) rules+="
    map inside { type inet_service : ipv4_addr; flags dynamic, timeout; timeout 1m; }
    chain wall { type filter hook forward priority 0;
      oifname \"wan\" meta l4proto udp update @inside { udp sport : ip saddr };
      iifname \"lan*\" oifname \"lan*\" ct status dnat accept;
      iifname \"lan*\" oifname \"lan*\" drop; }
    chain in { type nat hook prerouting priority -100;
      ip daddr $4 udp dport 1024-65535 dnat to udp dport map @inside; }
    chain back { type nat hook postrouting priority 90;
      ip saddr 192.168.0.0/16 oifname \"lan*\" snat to $4; }" ;;
  esac
  in_ns "$1" nft -f - <<<"$rules
  }"
}

# site NAME NUMBER CORE_ROUTER PUBLIC_NET KIND
site() {
  local name=$1 number=$2 core=$3 net=$4 kind=$5
  add "$name"
  if [ "$kind" = none ]; then
    wire "$core" "to-$name" "$net.1/30" "$name" eth0 "$net.2/30"
    ip -n "$(ns "$name")" route add default via "$net.1"
    return
  fi
  local home="home-$name" lan="192.168.$number"
  router "$home"
  wire "$home" lan "$lan.1/24" "$name" eth0 "$lan.2/24"
  ip -n "$(ns "$name")" route add default via "$lan.1"
  if [ "$kind" = carrier ]; then
    router "carrier-$name"
    wire "$core" "to-$name" "$net.1/30" "carrier-$name" wan "$net.2/30"
    ip -n "$(ns "carrier-$name")" route add default via "$net.1"
    wire "carrier-$name" lan "100.64.$number.1/30" "$home" wan "100.64.$number.2/30"
    ip -n "$(ns "$home")" route add default via "100.64.$number.1"
    nat "carrier-$name" linux "$lan.2" "$net.2"
    nat "$home" linux "$lan.2" "100.64.$number.2"
  else
    wire "$core" "to-$name" "$net.1/30" "$home" wan "$net.2/30"
    ip -n "$(ns "$home")" route add default via "$net.1"
    nat "$home" "$kind" "$lan.2" "$net.2"
  fi
}

up() {
  local kind_a=$1 kind_b=$2
  for name in r1 r2 r3; do router "$name"; done
  wire r2 to-r3 10.255.2.1/30 r3 to-r2 10.255.2.2/30
  add head
  wire r2 to-head 192.0.2.1/30 head eth0 192.0.2.2/30
  ip -n "$(ns head)" route add default via 192.0.2.1
  site a 1 r1 198.51.100 "$kind_a"
  if [ "$kind_b" = same-home ]; then
    add b
    wire home-a lan2 192.168.2.1/24 b eth0 192.168.2.2/24
    ip -n "$(ns b)" route add default via 192.168.2.1
  else
    site b 2 r3 203.0.113 "$kind_b"
  fi
  ip -n "$(ns r2)" route add 203.0.113.0/24 via 10.255.2.2
  ip -n "$(ns r3)" route add default via 10.255.2.1
  if [ -z "${NO_CORE:-}" ]; then
    wire r1 wan0 10.255.1.1/30 r2 wan0 10.255.1.2/30
    routes 10.255.1.1 10.255.1.2
  fi
}

# routes ADDRESS_OF_R1 ADDRESS_OF_R2: over the link between them, once it is there.
routes() {
  ip -n "$(ns r1)" route add default via "$2" dev wan0 onlink
  ip -n "$(ns r2)" route add 198.51.100.0/24 via "$1" dev wan0 onlink
}

case $action in
  up) up "$3" "$4" ;;
  routes) routes "$3" "$4" ;;
  cut)
    in_ns r3 nft -f - <<'RULES'
table ip cut {
  chain forward {
    type filter hook forward priority 0;
    ip saddr 198.51.100.0/24 meta l4proto udp drop
    ip daddr 198.51.100.0/24 meta l4proto udp drop
  }
}
RULES
    ;;
  mend) in_ns r3 nft delete table ip cut ;;
  down)
    for name in $(ip netns list | awk '{print $1}' | grep "^$prefix-" || true); do
      ip netns pids "$name" | xargs -r kill -9 2>/dev/null || true
      ip netns del "$name"
    done
    ;;
  *) echo "unknown action $action" >&2; exit 2 ;;
esac
