#!/bin/sh
# Measures iorun with an emulated wide area network between the driver and its workers: two network
# namespaces, joined by the project's own link with a fixed delay. Needs root. --help lists the
# options; docs/BENCHMARKS.md says how to read it.
set -eu
cd "$(dirname "$0")/.."
. scripts/benchmarks/prepare.sh

case " $* " in
  *" --help "* | *" -h "*) exec "$(bench_python)" scripts/benchmarks/benchmark_wan.py --help ;;
esac
if [ "$(id -u)" -ne 0 ]; then
  say "error: network namespaces need root: run this with sudo"
  exit 1
fi
need_products wan-link
WAN_LINK_BIN=$(dirname "$IORUN_BIN")/wan-link
export WAN_LINK_BIN
case " $* " in
  *" --no-iorun "*) ;;
  *) need_products iorun && need_iorun_python ;;
esac
case " $* " in
  *" --with-ray "* | *" --no-iorun "*) need_ray_python ;;
esac
export PYTHONDONTWRITEBYTECODE=1
exec "$(bench_python)" scripts/benchmarks/benchmark_wan.py "$@"
