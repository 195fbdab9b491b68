# Sourced by the benchmark scripts, from the root of the repository: builds what is missing, and
# makes the Python environments. Sets IORUN_BIN, IORUN_BENCH_PYTHON and the like.

say() { echo "$@" >&2; }

# need_products NAME...: the release builds, made where one is missing.
need_products() {
  IORUN_BENCH_BUILD=${IORUN_BENCH_BUILD:-.build/release}
  for product in "$@"; do
    [ -x "$IORUN_BENCH_BUILD/$product" ] && continue
    if [ "$IORUN_BENCH_BUILD" != .build/release ]; then
      say "error: there is no $IORUN_BENCH_BUILD/$product; it is built only in .build/release"
      exit 1
    fi
    say "building $product"
    swift build -c release --static-swift-stdlib -Xlinker -s --product "$product" >&2
  done
  IORUN_BIN=$(cd "$IORUN_BENCH_BUILD" && pwd)/iorun
  export IORUN_BIN
}

# A Python with which both systems can be installed; PYTHON chooses another.
bench_python() {
  for candidate in ${PYTHON:-python3.11 python3.12 python3.10 python3.13 python3}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  say "error: there is no Python 3.9 or later. Install python3 and python3-venv."
  return 1
}

# The environment with iorun's SDK, installed anew from this checkout; IORUN_BENCH_PYTHON names
# another Python that has it.
need_iorun_python() {
  [ -n "${IORUN_BENCH_PYTHON:-}" ] && return
  if [ ! -x .venv-bench/bin/python ]; then
    "$(bench_python)" -m venv .venv-bench
    .venv-bench/bin/pip install -q --disable-pip-version-check numpy cloudpickle setuptools wheel \
      >&2
  fi
  .venv-bench/bin/pip install -q --disable-pip-version-check --no-build-isolation ./python >&2
  IORUN_BENCH_PYTHON=$PWD/.venv-bench/bin/python
  export IORUN_BENCH_PYTHON
}

# The environment with Ray; RAY_BENCH_PYTHON stays empty where it cannot be had.
need_ray_python() {
  version=2.60.0
  RAY_BENCH_PYTHON=
  export RAY_BENCH_PYTHON
  if ! .venv-ray/bin/python -c "import ray, sys; sys.exit(ray.__version__ != '$version')" \
    2>/dev/null; then
    say "installing ray $version into .venv-ray"
    "$(bench_python)" -m venv .venv-ray || return 0
    if ! .venv-ray/bin/pip install -q --disable-pip-version-check "ray[default]==$version" numpy \
      >&2; then
      say "SKIPPED: ray $version cannot be installed here with $(bench_python)"
      return 0
    fi
  fi
  RAY_BENCH_PYTHON=$PWD/.venv-ray/bin/python
}
