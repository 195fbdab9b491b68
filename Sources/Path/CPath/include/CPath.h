// The few calls of the path layer that must be C: sockets with control messages, and the relay's hot
// path. No threads and no locks: whoever owns a relay calls it from one thread.
#ifndef IORUN_CPATH_H
#define IORUN_CPATH_H

#include <stdint.h>
#include <sys/types.h>

// An address as it crosses this interface: 4 or 16 bytes, and the port in host order.
struct iorun_path_address {
  uint8_t bytes[16];
  uint8_t length;
  uint16_t port;
};

// udp.c: sockets.

// A UDP socket on all addresses, IPv4 and IPv6 (IPv4 alone where the kernel has no IPv6), or on
// `address` where it is not NULL; non-blocking, close-on-exec, large buffers, with UDP_GRO if asked.
// The descriptor, or -errno.
int iorun_udp_open(const struct iorun_path_address *address, uint16_t port, int with_gro);
// The port of a socket, or -errno.
int iorun_udp_port(int fd);
// Sends one datagram; `ttl` 0: the usual. The number of bytes, or -errno.
ssize_t iorun_udp_send(int fd, const struct iorun_path_address *to, const void *bytes, size_t count,
                       int ttl);
// Receives one datagram. The number of bytes, or -errno (-EAGAIN: none).
ssize_t iorun_udp_receive(int fd, struct iorun_path_address *from, void *bytes, size_t room);
// From now on the kernel tells to which address of this machine each datagram came.
void iorun_udp_tell_local(int fd);
// The same two with that address: as it was told (length 0: it was not), and as the one to send from
// (NULL, or length 0: the usual one).
ssize_t iorun_udp_send_from(int fd, const struct iorun_path_address *source,
                            const struct iorun_path_address *to, const void *bytes, size_t count,
                            int ttl);
ssize_t iorun_udp_receive_at(int fd, struct iorun_path_address *from,
                             struct iorun_path_address *local, void *bytes, size_t room);
// From now on datagrams that do not fit are refused (-EMSGSIZE) and never cut into pieces. 0, or
// -errno.
int iorun_udp_probe_mtu(int fd, int on);
// The address from which this machine would send to `to`. 0, or -errno.
int iorun_udp_source(const struct iorun_path_address *to, struct iorun_path_address *source);

// relay.c: forwards datagrams between the two legs of a slot.

struct iorun_relay;

struct iorun_relay_counters {
  uint64_t forwarded_bytes;
  uint64_t forwarded_packets;
  // Of no slot, of a wrong tag or source, or with nobody at the other leg.
  uint64_t refused_packets;
  // Above the slot's rate, or the socket was full.
  uint64_t dropped_packets;
};

// A control datagram that the relay does not understand itself.
struct iorun_relay_control {
  struct iorun_path_address from;
  // The address of this machine that it came to: where the answer is to come from.
  struct iorun_path_address local;
  uint16_t count;
  uint8_t bytes[2048];
};

// A relay for at most `slots` pairs on a socket of `iorun_udp_open`; NULL without memory. Whoever sends
// to it hears from the address that it sent to, however many this machine has.
struct iorun_relay *iorun_relay_create(int fd, uint32_t slots);
void iorun_relay_free(struct iorun_relay *relay);
// Names the calling thread "path-relay" for the kernel, which Foundation's name does not reach:
// people see it in `top -H`, and `iorun-path-bench` finds its processor time.
void iorun_relay_name_thread(void);
// A leg is at `address` from now on. `rate` in bytes a second, 0: unbounded. 0, or -ENOSPC.
int iorun_relay_install(struct iorun_relay *relay, uint32_t slot, int leg, uint32_t tag,
                        const struct iorun_path_address *address, uint64_t expires_unix,
                        uint64_t rate);
// Takes what has come, at most `batches` times 32 reads, and forwards it. Control datagrams are
// copied to `controls` (at most `room`, the rest is dropped). How many, or -errno.
int iorun_relay_turn(struct iorun_relay *relay, struct iorun_relay_control *controls, int room,
                     int batches, int64_t now_ns, uint64_t now_unix);
void iorun_relay_read(const struct iorun_relay *relay, struct iorun_relay_counters *counters);
// The bytes that a slot has forwarded since it was installed; 0 for an unknown one.
uint64_t iorun_relay_slot_bytes(const struct iorun_relay *relay, uint32_t slot);
// Fills at most `room` slots with what they have forwarded since the last call. How many.
int iorun_relay_drain_bytes(struct iorun_relay *relay, uint32_t *slots, uint64_t *bytes, int room);

// tcp.c: simultaneous open, and bytes from one stream to another.

// A TCP socket bound to `port` on all addresses of the family, with SO_REUSEADDR and SO_REUSEPORT,
// so that several may use the port; non-blocking. The descriptor, or -errno.
int iorun_tcp_bound(int is_v6, uint16_t port);
// A TCP socket bound to an address of this machine, as those before but not to be shared. The
// descriptor, or -errno.
int iorun_tcp_bound_at(const struct iorun_path_address *address);
// Begins to connect; `ttl` 0: the usual. 0 (connected), -EINPROGRESS, or -errno.
int iorun_tcp_connect(int fd, const struct iorun_path_address *to, int ttl);
// Makes a socket's packets go the usual number of hops again. 0, or -errno.
int iorun_tcp_usual_ttl(int fd);
// The error of a connection attempt that is over. 0 where it is connected, or -errno.
int iorun_tcp_outcome(int fd);
// A listening TCP socket on `address`, or all; non-blocking. The descriptor, or -errno.
int iorun_tcp_listen(const struct iorun_path_address *address, uint16_t port, int backlog);
// The next connection, non-blocking. The descriptor, or -errno.
int iorun_tcp_accept(int fd, struct iorun_path_address *from);
// Moves bytes both ways between two connected streams, without copying them, until one ends and the
// rest has been delivered, or `stop_fd` is readable. 0, or -errno.
int iorun_splice(int one, int other, int stop_fd);

#endif
