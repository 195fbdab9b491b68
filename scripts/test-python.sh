#!/bin/sh
# Tests the Python SDK against a built `iorun`: unit tests, conformance tests, example programs.
#
#   scripts/test-python.sh FOLDER [PYTEST-OPTIONS]   FOLDER holds the program `iorun`
#   scripts/test-python.sh --all-versions FOLDER [PYTEST-OPTIONS]
#
# PYTHON chooses the interpreter (default python3.11, else python3). Builds nothing. The virtual
# environment .venv-python stays for the next run. With --all-versions: with each of Python 3.9 to
# 3.13, or those in VERSIONS, that this machine has or `uv` (or python3 -m uv) can fetch; each has an
# environment of its own, all are run, and the last lines say how each went.
set -eu

if [ $# -lt 1 ] || { [ "$1" = --all-versions ] && [ $# -lt 2 ]; }; then
  echo "usage: scripts/test-python.sh [--all-versions] FOLDER-OF-IORUN [PYTEST-OPTIONS]" >&2
  exit 2
fi
if [ "$1" = --all-versions ]; then
  shift
  uv=uv
  command -v uv >/dev/null 2>&1 || uv="python3 -m uv"
  if ! $uv --version >/dev/null 2>&1; then
    echo "--all-versions needs uv, which finds and fetches Python: pip install uv." >&2
    exit 2
  fi
  status=0
  summary=
  for version in ${VERSIONS:-3.9 3.10 3.11 3.12 3.13}; do
    if ! interpreter=$($uv python find --system "$version" 2>/dev/null) &&
      ! { $uv python install "$version" && interpreter=$($uv python find --system "$version"); }; then
      summary="$summary
Python $version: not run, uv cannot fetch it"
      status=1
      continue
    fi
    echo "Python $version: $interpreter"
    if VENV=".venv-python-$version" PYTHON=$interpreter "$0" "$@"; then
      summary="$summary
Python $version: passed"
    else
      summary="$summary
Python $version: failed"
      status=1
    fi
  done
  echo "$summary"
  exit $status
fi
folder=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."
if [ ! -x "$folder/iorun" ]; then
  echo "$folder has no program \`iorun\`: build it first (swift build --product iorun)." >&2
  exit 2
fi

if [ -z "${PYTHON:-}" ]; then
  PYTHON=python3
  if python3.11 --version >/dev/null 2>&1; then PYTHON=python3.11; fi
fi
venv=${VENV:-.venv-python}
# Another interpreter than last time wants another environment.
wanted=$("$PYTHON" -c 'import sys; print(sys.executable, *sys.version_info[:3])')
if [ "$(cat "$venv/interpreter" 2>/dev/null || true)" != "$wanted" ]; then
  rm -rf "$venv"
  "$PYTHON" -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check pytest pytest-timeout numpy aiohttp uv joblib
  echo "$wanted" >"$venv/interpreter"
fi
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --force-reinstall ./python
"$venv/bin/pip" install --quiet --disable-pip-version-check 'cloudpickle>=2.2'

# A network of the developer's own must not be what the tests attach to.
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
export IORUN_BIN="$folder/iorun" IORUN_STATE_DIR="$state" PYTHONDONTWRITEBYTECODE=1
unset IORUN_HUB IORUN_ADDRESS RAY_ADDRESS RAY_NAMESPACE RAY_RUNTIME_ENV || true
# One test may hang; it is then ended, and the others go on.
cd python/tests
"../../$venv/bin/python" -m pytest -q --timeout 60 -p no:cacheprovider "$@" .
