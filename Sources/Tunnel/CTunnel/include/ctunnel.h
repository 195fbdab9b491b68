// The hot path of our own WireGuard: everything that runs for each packet. Handshakes, timers and
// policy are Swift's; it installs keys here and takes what is not data from here. Times are
// nanoseconds of CLOCK_BOOTTIME. Functions return 0 or a count, or -errno.
#ifndef IORUN_CTUNNEL_H
#define IORUN_CTUNNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
  ct_key_size = 32,
  ct_tag_size = 16,
  // Type, three zero bytes, receiver's index, counter.
  ct_data_header_size = 16,
  ct_relay_header_size = 8,
  ct_max_peers = 1024,
  // The largest datagram that is handed up (handshakes, path discovery).
  ct_max_event_bytes = 1500,
};

// A time of CLOCK_BOOTTIME, which goes on while the machine sleeps.
uint64_t ct_now(void);

// Overwrites bytes so that they cannot be found in memory later.
void ct_erase(void *bytes, size_t count);

// replay.c: which counters of a key have been seen (RFC 6479): the last 8,192 - 64.

enum { ct_replay_words = 128 };
struct ct_replay {
  uint64_t next;
  uint64_t words[ct_replay_words];
};
// Whether a packet with that counter can still be new; changes nothing.
bool ct_replay_check(const struct ct_replay *window, uint64_t counter);
// Marks it as seen; false if it had been seen or is too old.
bool ct_replay_accept(struct ct_replay *window, uint64_t counter);

// aead.c: ChaCha20-Poly1305 with WireGuard's nonces, on contexts that are used again and again.

struct ct_aead;
// How many bytes before a text, and behind it, its owner lends for the time of a call. Those before
// it come back as they were. Behind a text that is sealed are its tag and then anything; behind one
// that is opened, they come back as well, and behind `out` is anything.
enum { ct_aead_room = 64, ct_aead_slack = 64 };
// A context for one key. NULL without memory, or if OpenSSL lacks a cipher.
struct ct_aead *ct_aead_create(const uint8_t key[ct_key_size]);
// Erases the key.
void ct_aead_destroy(struct ct_aead *aead);
// Encrypts `count` bytes in place and puts the tag behind them. 0, or -EBADMSG.
int ct_aead_seal(struct ct_aead *aead, uint64_t counter, uint8_t *bytes, size_t count);
// Decrypts `count` bytes, behind which the tag is, to `out`, before and behind which there is room
// as well. 0, or -EBADMSG if they are not authentic; what is in `out` then is of no use.
int ct_aead_open(struct ct_aead *aead, uint64_t counter, uint8_t *sealed, size_t count,
                 uint8_t *out);

// allowed.c: the longest matching range of inner addresses.

struct ct_allowed {
  uint8_t address[16];  // an IPv4 address in the first four
  uint8_t is_v6;
  uint8_t length;
  uint16_t peer;
};
struct ct_trie;
// A table of `count` ranges; of two that are the same the last one counts. NULL without memory.
struct ct_trie *ct_trie_create(const struct ct_allowed *ranges, size_t count);
void ct_trie_destroy(struct ct_trie *trie);
// The peer whose range is the most specific one with `address` (4 or 16 bytes) in it, or -1.
int ct_trie_lookup(const struct ct_trie *trie, const uint8_t *address, bool is_v6);

// segment.c: one large packet, as the kernel gives it, to packets of the interface's size.

// What stands before each packet of the TUN device: struct virtio_net_hdr, in host order.
struct ct_vnet {
  uint8_t flags;
  uint8_t gso_type;
  uint16_t header_length;
  uint16_t gso_size;
  uint16_t checksum_start;
  uint16_t checksum_offset;
} __attribute__((packed));

struct ct_segmenter {
  const uint8_t *packet;
  size_t length;
  size_t header;    // IP and transport headers, repeated in each segment
  size_t ip_header;
  size_t size;      // payload bytes a segment
  size_t position;  // payload bytes done
  uint32_t index;
  uint16_t flags;
  bool is_v6, is_tcp, splits;
  struct ct_vnet vnet;
};
// Begins with a packet. -EINVAL if the header does not fit it; nothing may be read beyond `length`.
int ct_segmenter_begin(struct ct_segmenter *segmenter, const struct ct_vnet *vnet,
                       const uint8_t *packet, size_t length);
// Writes the next packet, whole and with its checksum, to `out`. Its length; 0 at the end;
// -ENOBUFS if it does not fit.
long ct_segmenter_next(struct ct_segmenter *segmenter, uint8_t *out, size_t capacity);

// coalesce.c: packets of one TCP stream to one large one.

enum { ct_flow_count = 8, ct_flow_pieces = 64 };
struct ct_flow {
  struct ct_vnet vnet;
  struct iovec pieces[ct_flow_pieces + 2];
  uint32_t count;  // pieces; 0: the flow is free
  uint8_t *first;
  uint32_t header, ip_header;
  uint32_t size;     // of a payload, as the first packet's
  uint32_t payload;  // in all
  uint32_t next_sequence;
  bool is_v6, is_closed;
};
struct ct_coalescer {
  struct ct_flow flows[ct_flow_count];
  uint32_t next_victim;
  // Writes one packet, in pieces, the first of which is the struct ct_vnet.
  void (*write)(void *context, const struct iovec *pieces, uint32_t count);
  void *context;
};
// Takes a packet of `length` bytes that stays valid until the next flush.
void ct_coalescer_add(struct ct_coalescer *coalescer, uint8_t *packet, size_t length);
// Writes out all that is held.
void ct_coalescer_flush(struct ct_coalescer *coalescer);

// The ones' complement sum of `count` bytes, added to `sum`, as 16 bits in host order of the bytes
// as they lie; `start` must be a former result or 0, at an even offset.
uint16_t ct_checksum(const uint8_t *bytes, size_t count, uint32_t start);

// tun.c: makes a TUN device.

struct ct_interface_address {
  uint8_t address[16];
  uint8_t is_v6;
  uint8_t length;
};
struct ct_tun_options {
  // At most 15 bytes.
  const char *name;
  int mtu;
  const struct ct_interface_address *addresses;
  size_t address_count;
  // A network namespace, or -1 for the present one.
  int namespace_fd;
};
// Makes the device with its addresses, up, and returns its descriptor (non-blocking, close-on-exec).
// Runs on a thread of its own for the namespace's sake, and blocks for some milliseconds.
int ct_tun_create(const struct ct_tun_options *options);
// Turns on what the kernel can do for us on a TUN device: 0, or -errno if it cannot even segment
// TCP. Reads its name (16 bytes) as well.
int ct_tun_prepare(int tun, char name[16]);

// socket.c: the UDP socket.

// Where a datagram goes to or came from. IPv4 addresses stand in the first four bytes.
struct ct_endpoint {
  uint8_t address[16];
  uint64_t relay_header;  // 0: none
  uint32_t scope;
  uint16_t port;  // 0: no endpoint
  uint8_t is_v6;
};
// A socket on `port` (0: any) of all addresses, with GRO and large buffers. Writes the port.
int ct_socket_create(uint16_t port, uint16_t *bound);

// device.c: a running tunnel.

struct ct_device;

struct ct_options {
  int tun;
  int socket;
  // Packets are padded to 16 bytes, but not beyond the interface's MTU.
  int mtu;
  // Threads: 1, or 2 (one a direction).
  int threads;
};
// Takes both descriptors (closes them in the end, not on failure) and starts. NULL: errno.
struct ct_device *ct_device_start(const struct ct_options *options);
// Ends the threads, which may take a packet's time. Nothing may be called afterwards but destroy;
// a thread in ct_device_next_event returns with a `closed` event.
void ct_device_stop(struct ct_device *device);
// Erases all keys and frees it, once nobody is in a call.
void ct_device_destroy(struct ct_device *device);

// Peers are numbers below ct_max_peers, chosen by the caller. Where a peer roams, an authentic
// packet from elsewhere becomes its endpoint, save that a relay's never replaces a direct one.
int ct_peer_add(struct ct_device *device, uint16_t peer, bool roams);
int ct_peer_remove(struct ct_device *device, uint16_t peer);
int ct_peer_set_endpoint(struct ct_device *device, uint16_t peer,
                         const struct ct_endpoint *endpoint);
int ct_peer_endpoint(struct ct_device *device, uint16_t peer, struct ct_endpoint *endpoint);
// Makes the source of an authentic message the endpoint, as far as the peer roams.
int ct_peer_learn_endpoint(struct ct_device *device, uint16_t peer,
                           const struct ct_endpoint *source);
// Replaces the whole table of allowed addresses.
int ct_allowed_replace(struct ct_device *device, const struct ct_allowed *ranges, size_t count);

struct ct_session {
  uint8_t send_key[ct_key_size], receive_key[ct_key_size];
  uint32_t local_index, remote_index;
  uint64_t created;
  // Who began the handshake uses the key at once; the other side once it has been proved.
  bool is_initiator;
};
// Installs a key pair; what was current becomes previous. What waited for a key is sent, or an
// empty packet that proves the key to the other side.
int ct_session_install(struct ct_device *device, uint16_t peer, const struct ct_session *session);
// Erases all key pairs of a peer, and drops what waits.
int ct_sessions_erase(struct ct_device *device, uint16_t peer);
// Whether that index is a key pair's.
bool ct_session_exists(struct ct_device *device, uint32_t local_index);
// Sends an empty packet if there is a key to send it with.
int ct_peer_keepalive(struct ct_device *device, uint16_t peer);
// Drops packets that wait for a key.
int ct_peer_drop_waiting(struct ct_device *device, uint16_t peer);

struct ct_traffic {
  uint64_t sent_bytes, received_bytes, sent_packets, received_packets;
  // 0: never. Data are packets that are not empty.
  uint64_t last_data_sent, last_data_received, last_sent, last_received;
  // When the key that is in use was made; 0: none.
  uint64_t key_created;
};
int ct_peer_traffic(struct ct_device *device, uint16_t peer, struct ct_traffic *traffic);

// What the device has dropped, by reason.
struct ct_drops {
  uint64_t unknown_index, replayed, not_authentic, not_allowed, no_peer, no_room, bad_packet,
      send_failed, events;
  // 1 once the interface was deleted by someone else: from then on all is dropped.
  uint64_t interface_gone;
};
void ct_device_drops(struct ct_device *device, struct ct_drops *drops);
// How often datagrams were sent and received, and how many system calls that took.
struct ct_batches {
  uint64_t sent_packets, send_calls, received_packets, receive_calls, tun_reads, tun_writes;
};
void ct_device_batches(struct ct_device *device, struct ct_batches *batches);

// Sends one datagram. `ttl` 0: the socket's.
int ct_device_send(struct ct_device *device, const struct ct_endpoint *endpoint,
                   const uint8_t *bytes, size_t count, int ttl);

enum ct_event_kind {
  ct_event_none = 0,       // the time is over, or someone woke the caller
  ct_event_closed = 1,
  ct_event_handshake = 2,  // a WireGuard message of types 1 to 3
  ct_event_other = 3,      // any other datagram
  ct_event_wants_key = 4,  // there is no key, or an old one, for packets to this peer
  ct_event_confirmed = 5,  // a key pair that we answered for was proved and is in use
};
struct ct_event {
  enum ct_event_kind kind;
  uint16_t peer;
  uint16_t count;    // bytes of the datagram
  uint32_t waiting;  // events behind this one
  struct ct_endpoint source;
  uint8_t bytes[ct_max_event_bytes];
};
// The next event; waits at most that many milliseconds, -1: for good. One caller at a time.
void ct_device_next_event(struct ct_device *device, struct ct_event *event, int timeout_ms);
// Lets that call return.
void ct_device_wake(struct ct_device *device);

#endif
