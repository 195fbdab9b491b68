#!/bin/sh
# Puts PyTorch for CPUs and numpy into a Python virtual environment, for examples/pytorch-ddp.
#
# usage: scripts/install-torch.sh VENV
#
# Makes VENV with `python3 -m venv` where there is none ($PYTHON names another python3). Takes the
# CPU build where pip's configuration reaches one (PIP_FIND_LINKS, an extra index), else the build
# of pip's default index. Returns at once when VENV already has it.
#
# exit status: 0 it is there, 3 it cannot be had here, 64 wrong usage
set -eu

version=2.13.0

if [ $# -ne 1 ] || [ -z "$1" ]; then
  echo "usage: scripts/install-torch.sh VENV" >&2
  exit 64
fi
case $1 in
  /*) venv=$1 ;;
  *) venv=$PWD/$1 ;;
esac
marker=$venv/.iorun-torch
python=$venv/bin/python3

# Written last, so it stands for an installation that was imported once.
if [ -x "$python" ] && [ -f "$marker" ] && "$python" -c '' 2>/dev/null; then
  echo "torch $(cat "$marker") is already in $venv"
  exit 0
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT

give_up() {
  tail -n 15 "$log" >&2
  cat >&2 <<END

*******************************************************************************
*  NO PYTORCH: $1
*  examples/pytorch-ddp cannot run here.
*  Do: $2
*******************************************************************************
END
  exit 3
}

if ! [ -x "$python" ]; then
  "${PYTHON:-python3}" -m venv "$venv" >"$log" 2>&1 ||
    give_up "no virtual environment could be made at $venv" \
      "install Python 3.10 or newer with its venv module (apt-get install python3-venv)"
fi
"$python" -m pip --version >"$log" 2>&1 ||
  give_up "$venv has no pip" "remove $venv and run this again"

# The CPU build is named first and exactly: the default index may answer with a build for GPUs,
# which is some gigabytes larger.
install() {
  echo "installing $1 and numpy into $venv"
  "$python" -m pip install --quiet --only-binary=:all: "$1" numpy >>"$log" 2>&1
}
: >"$log"
if ! install "torch==$version+cpu"; then
  echo "pip finds no torch==$version+cpu; the default index may send a larger build" >&2
  install "torch==$version" ||
    give_up "pip could not install torch $version" \
      "connect to a package index, or point PIP_FIND_LINKS at a folder with the wheels"
fi

"$python" -c '
import numpy, torch, torch.distributed
assert torch.distributed.is_gloo_available(), "this torch was built without Gloo"
' >"$log" 2>&1 ||
  give_up "the installed torch does not work" "remove $venv and run this again"

found=$("$python" -c 'from importlib.metadata import version; print(version("torch"))')
echo "$found" >"$marker"
echo "torch $found is in $venv"
