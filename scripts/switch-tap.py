#!/usr/bin/env python3
"""Reads every frame of a network namespace's interfaces, as one who has the wire in hand would.

usage: ip netns exec NAMESPACE scripts/switch-tap.py MARKER...

Until its input ends. Then it prints how many frames carried WireGuard's data, and each marker that
passed in clear. Needs root.
"""

import select
import socket
import sys

ETH_P_ALL = 3
SO_RCVBUFFORCE = 33


def is_tunnelled(frame: bytes) -> bool:
    """Ethernet, IPv4 without options or IPv6, UDP, then WireGuard's type 4 and three zero bytes."""
    if frame[12:14] == b"\x08\x00" and frame[23:24] == b"\x11":
        return frame[42:46] == b"\x04\0\0\0"
    return frame[12:14] == b"\x86\xdd" and frame[20:21] == b"\x11" and frame[62:66] == b"\x04\0\0\0"


def main() -> None:
    markers = [word.encode() for word in sys.argv[1:]]
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    # A busy machine must not lose frames.
    tap.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    seen, tunnelled = set(), 0
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([tap, sys.stdin], [], [])
        if tap in ready:
            frame = tap.recv(1 << 17)
            tunnelled += is_tunnelled(frame)
            seen.update(marker for marker in markers if marker in frame)
        elif not sys.stdin.read(1):
            break
    print(f"tunnelled {tunnelled}")
    for marker in sorted(seen):
        print(f"seen {marker.decode()}")


main()
