// SCTP (RFC 9260) of libusrsctp over datagrams that somebody else carries, and the seal of these
// datagrams. The kernel's SCTP, raw sockets and libusrsctp's own threads stay out of it.
//
// Everything of sctp.c is called from one thread; a seal may be used by two at once, one for each
// direction.
#ifndef IORUN_CSCTP_H
#define IORUN_CSCTP_H

#include <stdint.h>
#include <sys/types.h>

// sctp.c

// Sends a packet over a path. Called from within the calls below.
typedef void (*iorun_sctp_output)(uintptr_t path, const void *packet, size_t count);

// Once in a process, before all else. Paths are named by numbers other than 0.
void iorun_sctp_init(iorun_sctp_output output);
// So many milliseconds have passed.
void iorun_sctp_tick(uint32_t milliseconds);
// A path is there from now on, or no longer.
void iorun_sctp_add_path(uintptr_t path);
void iorun_sctp_remove_path(uintptr_t path);
// A packet came over a path.
void iorun_sctp_input(uintptr_t path, const void *packet, size_t count);

struct iorun_sctp_socket;

// Takes associations of the other end of a path; packets are at most `packet_bytes` long. NULL without
// memory.
struct iorun_sctp_socket *iorun_sctp_listen(uintptr_t path, uint32_t packet_bytes);
// The next one, or NULL.
struct iorun_sctp_socket *iorun_sctp_accept(struct iorun_sctp_socket *listener,
                                            uint32_t packet_bytes);
// Begins an association with the other end of a path. NULL where that cannot be.
struct iorun_sctp_socket *iorun_sctp_connect(uintptr_t path, uint32_t packet_bytes);
// All of the bytes, or -EAGAIN: there is no room for all now (or no association yet), or -errno: it is
// over.
ssize_t iorun_sctp_send(struct iorun_sctp_socket *socket, const void *bytes, size_t count);
// Bytes, 0 at the end of the stream, -EAGAIN where there are none now, or -errno: it is over.
ssize_t iorun_sctp_receive(struct iorun_sctp_socket *socket, void *bytes, size_t room);
// Ends it: what was sent is still delivered, or, where `at_once`, nothing any more.
void iorun_sctp_close(struct iorun_sctp_socket *socket, int at_once);

// seal.c: ChaCha20-Poly1305 (RFC 8439) with the cost of a key paid once.

struct iorun_seal;

enum {
  iorun_seal_key_bytes = 32,
  iorun_seal_header_bytes = 17,  // a byte of the kind, 8 of the name, 8 of the counter
  iorun_seal_tag_bytes = 16,
};

// NULL without memory.
struct iorun_seal *iorun_seal_create(const uint8_t out_key[32], const uint8_t in_key[32]);
void iorun_seal_free(struct iorun_seal *seal);
// `out` begins with the header, whose last 8 bytes are the nonce's counter: never the same twice under
// one key. Appends the sealed bytes and the tag. 0, or -EIO.
int iorun_seal_close(struct iorun_seal *seal, uint8_t *out, const void *plain, size_t count);
// The bytes in a datagram of header, sealed bytes and tag; how many, or -EBADMSG.
ssize_t iorun_seal_open(struct iorun_seal *seal, const uint8_t *datagram, size_t count,
                        uint8_t *plain);

#endif
