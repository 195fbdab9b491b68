#!/bin/sh
# Tests the Python SDK against a built `iorun`: unit tests, conformance tests, example programs.
#
#   scripts/test-python.sh FOLDER [PYTEST-OPTIONS]   FOLDER holds the program `iorun`
#
# PYTHON chooses the interpreter (default python3.11, else python3). Builds nothing. The virtual
# environment .venv-python stays for the next run.
set -eu

if [ $# -lt 1 ]; then
  echo "usage: scripts/test-python.sh FOLDER-OF-IORUN [PYTEST-OPTIONS]" >&2
  exit 2
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
venv=.venv-python
# Another interpreter than last time wants another environment.
wanted=$("$PYTHON" -c 'import sys; print(sys.executable, *sys.version_info[:3])')
if [ "$(cat "$venv/interpreter" 2>/dev/null || true)" != "$wanted" ]; then
  rm -rf "$venv"
  "$PYTHON" -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check pytest pytest-timeout numpy aiohttp uv
  echo "$wanted" >"$venv/interpreter"
fi
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --force-reinstall ./python
"$venv/bin/pip" install --quiet --disable-pip-version-check 'cloudpickle>=2.2'

# A network of the developer's own must not be what the tests attach to.
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
export IORUN_BIN="$folder/iorun" IORUN_STATE_DIR="$state" PYTHONDONTWRITEBYTECODE=1
unset IORUN_HUB IORUN_ADDRESS || true
# One test may hang; it is then ended, and the others go on.
cd python/tests
"../../$venv/bin/python" -m pytest -q --timeout 60 -p no:cacheprovider "$@" .
