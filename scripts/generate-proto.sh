#!/bin/sh
# Turns proto/iorun.proto into the committed C code beside it. `--check` fails on a difference.
set -eu
cd "$(dirname "$0")/.."

if ! command -v protoc-c >/dev/null 2>&1; then
  echo "error: protoc-c is missing. Install it: apt-get install protobuf-c-compiler" >&2
  exit 1
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
protoc-c --c_out="$out" --proto_path=proto iorun.proto

if [ "${1:-}" = "--check" ]; then
  diff -u proto/iorun.pb-c.c "$out/iorun.pb-c.c"
  diff -u proto/include/iorun.pb-c.h "$out/iorun.pb-c.h"
  echo "proto: the generated code is up to date"
else
  mkdir -p proto/include
  cp "$out/iorun.pb-c.c" proto/iorun.pb-c.c
  cp "$out/iorun.pb-c.h" proto/include/iorun.pb-c.h
fi
