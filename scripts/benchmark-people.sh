#!/bin/sh
# Measures what people feel of iorun: a forwarded port beside the port itself and beside `ssh -L`, a
# copy beside scp, a command beside ssh. All on this machine, in one run; needs root for sshd, which is
# left out where it is missing. docs/BENCHMARKS.md says how to read it.
set -eu
cd "$(dirname "$0")/.."
. scripts/benchmarks/prepare.sh

case " $* " in
  *" --help "* | *" -h "*) ;;
  *) need_products iorun ;;
esac
export PYTHONDONTWRITEBYTECODE=1
exec "$(bench_python)" scripts/benchmarks/benchmark_people.py "$@"
