#define _GNU_SOURCE
#include <errno.h>
#include <netinet/udp.h>
#include <unistd.h>

#include "device.h"
#include "internet.h"
#include "socket.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

static uint32_t little32(const uint8_t *bytes) {
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
         (uint32_t)bytes[3] << 24;
}

static struct key_pair *find_pair(struct ct_device *device, uint32_t index) {
  struct key_pair *pair = device->indexes[index % index_buckets];
  while (pair && pair->local_index != index) pair = pair->next_in_bucket;
  return pair;
}

// The inner packet's length, without padding; 0 if it is none or pretends to be from elsewhere.
static size_t inner_length(struct ct_device *device, const uint8_t *packet, size_t length,
                           uint16_t peer) {
  size_t count = 0;
  const uint8_t *source = NULL;
  bool is_v6 = packet[0] >> 4 == 6;
  if (is_v6 && length >= ip6_header) {
    count = (size_t)get16(packet + ip6_length) + ip6_header;
    source = packet + ip6_source;
  } else if (packet[0] >> 4 == 4 && length >= 20) {
    count = get16(packet + ip4_total);
    source = packet + ip4_source;
  }
  if (!source || count > length || count < 20) {
    COUNT(device->bad_packet, 1);
    return 0;
  }
  if (!device->allowed || ct_trie_lookup(device->allowed, source, is_v6) != peer) {
    COUNT(device->not_allowed, 1);
    return 0;
  }
  return count;
}

// An authentic packet came: its source is where the peer is, and its key is in use.
static void learn(struct ct_device *device, struct peer *peer, struct key_pair *pair,
                  const struct ct_endpoint *source) {
  if (ct_may_roam(peer, source)) {
    pthread_mutex_lock(&peer->lock);
    peer->endpoint = *source;
    pthread_mutex_unlock(&peer->lock);
  }
  if (pair != peer->next) return;
  pthread_mutex_lock(&peer->lock);
  if (pair == peer->next) {
    struct key_pair *old = peer->previous;
    if (old) {
      old->next_retired = peer->retired;
      peer->retired = old;
    }
    peer->previous = peer->current;
    peer->current = pair;
    peer->next = NULL;
  }
  pthread_mutex_unlock(&peer->lock);
  atomic_store(&peer->has_work, true);
  atomic_store(&device->has_work, true);
  ct_signal(device->wake_outbound);
  ct_event_confirm(device, peer);
}

static void take_data(struct ct_device *device, uint8_t *bytes, size_t count,
                      const struct ct_endpoint *source, uint64_t now) {
  struct key_pair *pair = find_pair(device, little32(bytes + 4));
  if (!pair) {
    COUNT(device->unknown_index, 1);
    return;
  }
  struct peer *peer = device->peers[pair->peer];
  uint64_t counter = (uint64_t)little32(bytes + 8) | (uint64_t)little32(bytes + 12) << 32;
  if (!peer || now - pair->created >= reject_after || counter >= reject_after_messages) {
    COUNT(device->unknown_index, 1);
    return;
  }
  if (!ct_replay_check(&pair->replay, counter)) {
    COUNT(device->replayed, 1);
    return;
  }
  uint8_t *sealed = bytes + ct_data_header_size;
  size_t length = count - ct_data_header_size - ct_tag_size;
  uint8_t *packet = device->opened + device->opened_used + ct_aead_room;
  if (device->opened_used + ct_aead_room + length > opened_capacity) {
    // More empty packets at once than any sender of ours would make: those before are written out.
    ct_coalescer_flush(&device->coalescer);
    device->opened_used = 0;
    packet = device->opened + ct_aead_room;
  }
  if (ct_aead_open(pair->open, counter, sealed, length, packet) != 0) {
    COUNT(device->not_authentic, 1);
    return;
  }
  ct_replay_accept(&pair->replay, counter);
  COUNT(peer->received_bytes, count);
  COUNT(peer->received_packets, 1);
  atomic_store_explicit(&peer->last_received, now, memory_order_relaxed);
  learn(device, peer, pair, source);
  if (pair->is_initiator && now - pair->created >= rekey_on_receive_after) {
    ct_event_want_key(device, peer, now);
  }
  if (length == 0) return;
  atomic_store_explicit(&peer->last_data_received, now, memory_order_relaxed);
  length = inner_length(device, packet, length, pair->peer);
  if (length == 0) return;
  device->opened_used += ct_aead_room + length;
  ct_coalescer_add(&device->coalescer, packet, length);
}

static bool is_relay(struct ct_device *device, uint64_t header) {
  for (uint64_t at = header; device->relays[at % relay_buckets]; at++) {
    if (device->relays[at % relay_buckets] == header) return true;
  }
  return false;
}

static void take(struct ct_device *device, uint8_t *bytes, size_t count,
                 struct ct_endpoint *source, uint64_t now) {
  COUNT(device->received_packets, 1);
  for (int depth = 0; depth < 2; depth++) {
    if (count >= 4 && bytes[0] >= 1 && bytes[0] <= 4 && !bytes[1] && !bytes[2] && !bytes[3]) {
      if (bytes[0] == 4) {
        if (count >= ct_data_header_size + ct_tag_size) {
          take_data(device, bytes, count, source, now);
        } else {
          COUNT(device->bad_packet, 1);
        }
      } else {
        ct_event_push(device, ct_event_handshake, source, bytes, count);
      }
      return;
    }
    uint64_t header = 0;
    for (int index = 0; count > ct_relay_header_size && index < ct_relay_header_size; index++) {
      header = header << 8 | bytes[index];
    }
    if (depth || !header || !is_relay(device, header)) break;
    source->relay_header = header;
    bytes += ct_relay_header_size;
    count -= ct_relay_header_size;
  }
  // What a relay wraps is WireGuard's or nothing.
  if (source->relay_header) {
    COUNT(device->bad_packet, 1);
  } else {
    ct_event_push(device, ct_event_other, source, bytes, count);
  }
}

static void write_packet(void *context, const struct iovec *pieces, uint32_t count) {
  struct ct_device *device = context;
  COUNT(device->tun_writes, 1);
  if (writev(device->tun, pieces, (int)count) < 0) COUNT(device->no_room, 1);
}

void ct_inbound_prepare(struct ct_device *device) {
  device->coalescer.write = write_packet;
  device->coalescer.context = device;
}

static size_t segment_size(struct msghdr *message, size_t length) {
  for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
       header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level == IPPROTO_UDP && header->cmsg_type == UDP_GRO) {
      int size;
      memcpy(&size, CMSG_DATA(header), sizeof size);
      if (size > 0) return (size_t)size;
    }
  }
  return length;
}

bool ct_inbound_run(struct ct_device *device) {
  struct mmsghdr messages[receive_buffers];
  struct iovec pieces[receive_buffers];
  struct sockaddr_storage addresses[receive_buffers];
  union {
    uint8_t bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } controls[receive_buffers];
  for (int index = 0; index < receive_buffers; index++) {
    pieces[index] = (struct iovec){device->receive_buffer[index] + ct_aead_room, read_capacity};
    messages[index].msg_hdr = (struct msghdr){
        .msg_name = &addresses[index],
        .msg_namelen = sizeof addresses[index],
        .msg_iov = &pieces[index],
        .msg_iovlen = 1,
        .msg_control = &controls[index],
        .msg_controllen = sizeof controls[index],
    };
  }
  int count = recvmmsg(device->socket, messages, receive_buffers, MSG_DONTWAIT, NULL);
  if (count <= 0) return false;
  COUNT(device->receive_calls, 1);
  uint64_t now = ct_now();
  pthread_rwlock_rdlock(&device->tables);
  for (int index = 0; index < count; index++) {
    size_t length = messages[index].msg_len;
    if (messages[index].msg_hdr.msg_flags & MSG_TRUNC) continue;
    size_t size = segment_size(&messages[index].msg_hdr, length);
    struct ct_endpoint source;
    ct_address_read(&addresses[index], &source);
    for (size_t at = 0; at < length; at += size) {
      size_t here = length - at < size ? length - at : size;
      struct ct_endpoint own = source;
      take(device, device->receive_buffer[index] + ct_aead_room + at, here, &own, now);
    }
  }
  pthread_rwlock_unlock(&device->tables);
  ct_coalescer_flush(&device->coalescer);
  device->opened_used = 0;
  return true;
}
