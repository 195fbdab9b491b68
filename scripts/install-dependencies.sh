#!/bin/sh
# Installs the Debian packages that iorun needs, as far as they are missing. With --test also those
# that only the tests and the code generator need.
set -eu

packages="libzmq3-dev libprotobuf-c-dev libssl-dev libsqlite3-dev libusrsctp-dev"
if [ "${1:-}" = "--test" ]; then
  packages="$packages protobuf-c-compiler iproute2 nftables python3-venv wireguard-go wireguard-tools"
  packages="$packages bubblewrap crun runc gocryptfs fuse3 e2fsprogs curl"
fi

if ! command -v swift >/dev/null 2>&1; then
  cat >&2 <<'END'
error: Swift is missing.
  Install Swift 6.3 or later for Debian 12 as https://www.swift.org/install/linux says, and put its
  usr/bin folder into PATH. Then run this again.
END
  exit 1
fi

missing=""
for package in $packages; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" \
    || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "error: these packages are missing, and there is no sudo to install them:$missing" >&2
    echo "  As root: apt-get install$missing" >&2
    exit 1
  fi
  as_root="sudo"
fi
echo "installing:$missing"
# shellcheck disable=SC2086 # a list of names
$as_root env DEBIAN_FRONTEND=noninteractive sh -c \
  "apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing" >/dev/null
