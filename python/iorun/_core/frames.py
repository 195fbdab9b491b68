"""The frames of the local protocol and of processes among themselves: layouts and bounds.

Every frame is a 16-byte header and a body; `proto/local.md` is the contract. The peer frames
(0x10 to 0x1f) are this SDK's own business and described here.
"""

from __future__ import annotations

import struct
from typing import List, Sequence, Tuple

HEADER = struct.Struct("<IBBHQ")
HEADER_SIZE = HEADER.size

#: The longest frame that is taken; the hub has the same limit.
FRAME_LIMIT = 32 << 20

REQUEST = 0x01
RESPONSE = 0x02
EVENT = 0x03
NOTE = 0x04

# number: the task's counter. Body: u32 template, then the arguments (see `arguments.py`).
CALL = 0x10
# number: the task's counter; aux: how long it ran, in units of 16 us. Body: results.
REPLY = 0x11
# number: the template's number. Body: a pickled dict of builtin values.
DEFINE = 0x12
# Body: (object id, borrower) pairs: the sender gave the borrower a reference.
BORROW = 0x13
# Body: (object id, u32 count) pairs: the sender lets go of as many receipts.
REMOVE = 0x14
# number: the sender's request. Body: object id. flags 1: the known locations have failed.
FETCH = 0x15
# number: of the request. Body: one result.
VALUE = 0x16
# number: how many unstarted calls to give back at most.
STEAL = 0x17
# Body: u64 counters of calls that were not started and will not be.
RETURNED = 0x18
# number: the task's counter. flags: 1 force, 2 recursive.
CANCEL = 0x19
# number: the task's counter; body: u32 index, one result.
YIELD = 0x1A
# number: the task's counter; body: u64 how many yielded objects were consumed; all ones: stop.
ACK = 0x1B

# Body: a pickled dict: what the lease that the receiver serves was given.
LEASE_INFO = 0x1C

# Body: object id, one result: the sender has stored a value that the receiver is to own, and holds
# one receipt of it.
OWN = 0x1D

RELAY = 0x20
GREET = 0x21

# Flags of CALL.
CALL_FULL = 1
CALL_ACTOR = 2
# Flags of REPLY.
REPLY_PLAIN = 1
REPLY_ERROR = 2
REPLY_RETRY = 4
REPLY_CANCELLED = 8
REPLY_EXITED = 16
# The call did not run: an argument is nowhere; the error names it.
REPLY_LOST = 32

# Tags of a result.
PLAIN = 1
FULL = 2
ARENA = 3
ERROR = 4

RESULT = struct.Struct("<BQ")
U32 = struct.Struct("<I")
U64 = struct.Struct("<Q")
IN_ARENA = struct.Struct("<16sQI")
COUNTED = struct.Struct("<28sI")
BORROWED = struct.Struct("<28s16s")

ID_SIZE = 28
#: A reference on the wire: object id and the node of its owner.
REF_SIZE = ID_SIZE + 16


class FrameError(Exception):
    """Bytes that are no frame, or a frame that is not what it must be."""


def frame(kind: int, flags: int = 0, aux: int = 0, number: int = 0, body: bytes = b"") -> bytes:
    """A whole frame."""
    return HEADER.pack(12 + len(body), kind, flags, aux, number) + body


def split_frames(data: bytes, start: int, end: int) -> List[Tuple[int, int, int, int, int, int]]:
    """The frames of a parcel: (kind, flags, aux, number, body start, body end).

    Raises FrameError where the bytes are not whole frames.
    """
    found = []
    while start < end:
        if end - start < HEADER_SIZE:
            raise FrameError(f"{end - start} bytes are left where a frame's header should be")
        length, kind, flags, aux, number = HEADER.unpack_from(data, start)
        stop = start + 4 + length
        if length < 12 or stop > end:
            raise FrameError(f"a frame of {length} bytes does not fit into its parcel")
        found.append((kind, flags, aux, number, start + HEADER_SIZE, stop))
        start = stop
    return found


def encode_results(results: Sequence[Tuple[int, bytes]]) -> bytes:
    """Results as a REPLY's body: tag, length and bytes of each."""
    parts = []
    for tag, data in results:
        parts.append(RESULT.pack(tag, len(data)))
        parts.append(data)
    return b"".join(parts)


def decode_results(data: bytes, start: int, end: int) -> List[Tuple[int, bytes]]:
    """The results in a REPLY's body. Raises FrameError where they are malformed."""
    results = []
    while start < end:
        if end - start < RESULT.size:
            raise FrameError("a result's header is cut off")
        tag, length = RESULT.unpack_from(data, start)
        start += RESULT.size
        if length > end - start or not PLAIN <= tag <= ERROR:
            raise FrameError(f"a result of tag {tag} and {length} bytes is not in its frame")
        results.append((tag, data[start : start + length]))
        start += length
    return results
