// The state of a running tunnel.
//
// Who may touch what: the tables (peers, key pairs by index, allowed addresses, relay headers)
// change under `tables` held for writing, which the control thread does; the hot threads hold it for
// reading while they work on a batch. A peer's `lock` guards its three key pairs, its endpoint and
// what waits, among the hot threads. A key pair's sealing half is the outbound thread's alone, its
// opening half and its replay window the inbound thread's.
#ifndef IORUN_CTUNNEL_DEVICE_H
#define IORUN_CTUNNEL_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "ctunnel.h"

enum {
  index_buckets = 1024,
  relay_buckets = 2048,
  read_capacity = 65536 + 64,
  // What one UDP_SEGMENT call takes: 64 segments, and the largest IPv4 datagram.
  batch_capacity = 65507,
  batch_segments = 64,
  receive_buffers = 4,
  event_capacity = 128,
  // No packet is longer inside than outside; those without content take their room, too.
  opened_capacity = receive_buffers * (read_capacity + 64 * ct_aead_room),
  waiting_bytes = 512 << 10,
};

struct key_pair {
  uint32_t local_index, remote_index;
  uint16_t peer;
  bool is_initiator;
  uint64_t created;
  struct ct_aead *seal, *open;
  uint64_t send_counter;
  struct ct_replay replay;
  struct key_pair *next_in_bucket;
  struct key_pair *next_retired;
};

// A packet that waits for a key, as the TUN device gave it.
struct waiting {
  struct waiting *next;
  size_t length;
  struct ct_vnet vnet;
  uint8_t bytes[];
};

struct peer {
  bool is_used, roams;
  pthread_mutex_t lock;
  struct ct_endpoint endpoint;
  struct key_pair *current, *previous, *next;
  // Out of use, freed by the control thread.
  struct key_pair *retired;
  struct waiting *first_waiting, *last_waiting;
  size_t waiting_count;
  atomic_bool has_work;  // for the outbound thread: packets wait for a key that is there now
  atomic_bool wants_keepalive, wants_key, is_confirmed;
  _Atomic uint64_t asked;  // when a key was last asked for
  _Atomic uint64_t sent_bytes, received_bytes, sent_packets, received_packets;
  _Atomic uint64_t last_data_sent, last_data_received, last_sent, last_received;
};

// Datagrams to one endpoint, encrypted, waiting for one system call.
struct batch {
  struct ct_endpoint endpoint;
  size_t used, size;
  uint32_t count;
  bool is_closed;
  // The first bytes and the last ones are lent to ct_aead_seal.
  uint8_t room[ct_aead_room + batch_capacity + ct_aead_slack];
};

struct event_ring {
  struct ct_event *events;
  uint32_t head, count;
};

struct ct_device {
  int tun, socket, family, mtu, threads;
  bool has_gso;
  // The interface was deleted under us: nothing comes from it any more, and nobody waits for it.
  atomic_bool tun_is_gone;
  pthread_t outbound, inbound;
  uint32_t started;
  atomic_bool is_stopped;
  int wake_outbound, wake_inbound, wake_events;

  pthread_rwlock_t tables;
  struct peer *peers[ct_max_peers];
  struct key_pair *indexes[index_buckets];
  struct ct_trie *allowed;
  uint64_t relays[relay_buckets];
  atomic_bool has_work, has_news;

  struct batch batch;
  uint8_t read_buffer[read_capacity];
  struct ct_coalescer coalescer;
  // Datagrams as they came, and what was in them, each with room around it for ct_aead_open.
  uint8_t (*receive_buffer)[ct_aead_room + read_capacity + ct_aead_slack];
  uint8_t *opened;
  size_t opened_used;

  pthread_mutex_t events_lock;
  struct event_ring handshakes, others;
  bool others_next;

  _Atomic uint64_t unknown_index, replayed, not_authentic, not_allowed, no_peer, no_room,
      bad_packet, send_failed, lost_events;
  _Atomic uint64_t sent_packets, send_calls, received_packets, receive_calls, tun_reads,
      tun_writes;
};

#define COUNT(counter, amount) \
  atomic_fetch_add_explicit(&(counter), (amount), memory_order_relaxed)

// Whether a peer's endpoint becomes `source`. A relay's never replaces a direct one: who sends
// through the relay may just not know yet that the direct way is open.
static inline bool ct_may_roam(const struct peer *peer, const struct ct_endpoint *source) {
  if (!peer->endpoint.port) return true;
  if (!peer->roams || (source->relay_header && !peer->endpoint.relay_header)) return false;
  return memcmp(&peer->endpoint, source, sizeof *source) != 0;
}

// outbound.c: from the TUN device to the socket. Works off what is there; true if there may be more.
bool ct_outbound_run(struct ct_device *device);
// inbound.c: from the socket to the TUN device.
bool ct_inbound_run(struct ct_device *device);
void ct_inbound_prepare(struct ct_device *device);

// events.c
void ct_event_push(struct ct_device *device, enum ct_event_kind kind,
                   const struct ct_endpoint *source, const uint8_t *bytes, size_t count);
// Asks for a new key, at most ten times a second for each peer.
void ct_event_want_key(struct ct_device *device, struct peer *peer, uint64_t now);
void ct_event_confirm(struct ct_device *device, struct peer *peer);
void ct_signal(int eventfd);
void ct_quiet(int eventfd);

// When keys are too old (WireGuard paper, 6.1), in nanoseconds and messages.
#define SECONDS UINT64_C(1000000000)
static const uint64_t rekey_after = 120 * SECONDS;
static const uint64_t reject_after = 180 * SECONDS;
static const uint64_t rekey_on_receive_after = 165 * SECONDS;
static const uint64_t rekey_after_messages = UINT64_C(1) << 60;
static const uint64_t reject_after_messages = UINT64_MAX - (UINT64_C(1) << 13);

#endif
