#!/usr/bin/env python3
"""Checks that no target depends on one of its own floor or above (docs/ARCHITECTURE.md)."""
import json
import subprocess
import sys

FLOORS = [
    {"CZeroMQ", "CProtobufC", "COpenSSL", "CCrypto", "CWire", "CShim", "CTunnel", "CPath", "CPoW",
     "CSCTP", "CSandbox"},
    {"IorunCore"},
    {"IorunCrypto"},
    {"IorunWire", "IorunContent", "IorunScheduler", "IorunPoW", "IorunTunnel",
     "IorunPath", "IorunSandbox"},
    {"IorunMesh"},
    {"IorunRuntime"},
    {"IorunContract"},
    {"IorunJob", "IorunWorker", "IorunHead", "IorunClient"},
    {"IorunLocal"},
    {"iorun"},
]
# Steps inside a floor: CWire is generated code over the library's header, CTunnel, CCrypto and CSCTP C
# over OpenSSL's.
ALLOWED = {("CWire", "CProtobufC"), ("CTunnel", "COpenSSL"), ("CCrypto", "COpenSSL"),
           ("CSCTP", "COpenSSL")}


def main() -> int:
    text = subprocess.run(
        ["swift", "package", "describe", "--type", "json"],
        check=True, capture_output=True, text=True).stdout
    package = json.loads(text[text.index("{"):])
    floor_of = {name: floor for floor, names in enumerate(FLOORS) for name in names}
    faults = []
    for target in package["targets"]:
        name = target["name"]
        if name not in floor_of:
            continue
        for dependency in target.get("target_dependencies", []):
            if (name, dependency) in ALLOWED:
                continue
            if dependency not in floor_of:
                faults.append(f"{name} depends on {dependency}, which has no floor")
            elif floor_of[dependency] >= floor_of[name]:
                faults.append(f"{name} must not depend on {dependency}: it is not below it")
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
