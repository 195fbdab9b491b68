#!/bin/sh
# Runs the lines of Ray's microbenchmark with iorun's Python SDK, iorun's Swift API and Ray 2.60, in
# turn, and prints the ratios. --help lists the options; docs/BENCHMARKS.md says how to read it.
set -eu
cd "$(dirname "$0")/.."
. scripts/benchmarks/prepare.sh

case " $* " in
  *" --help "* | *" -h "*) exec "$(bench_python)" scripts/benchmarks/benchmark_ray.py --help ;;
esac
case " $* " in
  *" --no-python "*) ;;
  *) need_products iorun && need_iorun_python ;;
esac
case " $* " in
  *" --no-swift "*) ;;
  *)
    need_products iorun iorun-runtime-bench
    IORUN_BENCH_SWIFT=$(dirname "$IORUN_BIN")/iorun-runtime-bench
    export IORUN_BENCH_SWIFT
    ;;
esac
case " $* " in
  *" --no-ray "*) ;;
  *) need_ray_python ;;
esac
export PYTHONDONTWRITEBYTECODE=1
exec "$(bench_python)" scripts/benchmarks/benchmark_ray.py "$@"
