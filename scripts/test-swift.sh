#!/usr/bin/env bash
# Runs the built Swift tests and, when some fail, says which at the very end, where a truncated log still has it.
#   scripts/test-swift.sh [arguments of swift test]
set -uo pipefail
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# One at a time: many tests wait for real processes, which two cores serve best in turn.
swift test --skip-build --no-parallel "$@" 2>&1 | tee "$log"
status=$?
if [ "$status" -ne 0 ]; then
  printf '\nWhat failed:\n'
  grep -aE 'recorded an issue|↳|✘|Fatal error|unexpected signal' "$log" | tail -60
fi
exit "$status"
