#define _GNU_SOURCE
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <unistd.h>

#include "device.h"
#include "internet.h"
#include "socket.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

// How many packets of the TUN device one round takes before others get their turn.
enum { reads_a_round = 16 };

static uint8_t *batch_bytes(const struct batch *batch) {
  return (uint8_t *)batch->room + ct_aead_room;
}

static bool send_segmented(struct ct_device *device, const struct batch *batch) {
  struct sockaddr_storage address;
  socklen_t length = ct_address_write(&batch->endpoint, device->family, &address);
  if (length == 0) return true;  // no way to such an address from here
  struct iovec piece = {batch_bytes(batch), batch->used};
  union {
    uint8_t bytes[CMSG_SPACE(sizeof(uint16_t))];
    struct cmsghdr align;
  } control;
  struct msghdr message = {
      .msg_name = &address, .msg_namelen = length, .msg_iov = &piece, .msg_iovlen = 1};
  if (batch->count > 1) {
    memset(&control, 0, sizeof control);
    message.msg_control = &control;
    message.msg_controllen = sizeof control.bytes;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = IPPROTO_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    uint16_t size = (uint16_t)batch->size;
    memcpy(CMSG_DATA(header), &size, sizeof size);
  }
  COUNT(device->send_calls, 1);
  if (sendmsg(device->socket, &message, MSG_NOSIGNAL) >= 0) return true;
  if (batch->count > 1 && (errno == EINVAL || errno == EMSGSIZE || errno == EIO)) {
    // EIO: the interface cannot do checksums, and so no segments: it will not learn it.
    if (errno == EIO) device->has_gso = false;
    return false;
  }
  COUNT(device->send_failed, batch->count);
  return true;
}

// One by one, several a call: a path whose MTU is too small for the segments, or no GSO at all.
static void send_singly(struct ct_device *device, const struct batch *batch) {
  struct sockaddr_storage address;
  socklen_t length = ct_address_write(&batch->endpoint, device->family, &address);
  if (length == 0) return;
  struct mmsghdr messages[batch_segments];
  struct iovec pieces[batch_segments];
  memset(messages, 0, sizeof messages);
  size_t at = 0;
  uint32_t count = 0;
  for (; at < batch->used && count < batch_segments; count++) {
    size_t size = batch->used - at < batch->size ? batch->used - at : batch->size;
    pieces[count] = (struct iovec){batch_bytes(batch) + at, size};
    messages[count].msg_hdr.msg_name = &address;
    messages[count].msg_hdr.msg_namelen = length;
    messages[count].msg_hdr.msg_iov = &pieces[count];
    messages[count].msg_hdr.msg_iovlen = 1;
    at += size;
  }
  for (uint32_t done = 0; done < count;) {
    COUNT(device->send_calls, 1);
    int sent = sendmmsg(device->socket, messages + done, count - done, MSG_NOSIGNAL);
    if (sent <= 0) {
      COUNT(device->send_failed, 1);
      sent = 1;
    }
    done += (uint32_t)sent;
  }
}

static void flush(struct ct_device *device) {
  struct batch *batch = &device->batch;
  if (batch->count == 0) return;
  COUNT(device->sent_packets, batch->count);
  bool is_done = (batch->count == 1 || device->has_gso) && send_segmented(device, batch);
  if (!is_done) send_singly(device, batch);
  batch->count = 0;
  batch->used = 0;
  batch->is_closed = false;
}

// Room for a datagram of at most `most` bytes to that endpoint, at the end of the batch.
static uint8_t *reserve(struct ct_device *device, const struct ct_endpoint *endpoint,
                        size_t most) {
  struct batch *batch = &device->batch;
  if (batch->count > 0 &&
      (batch->is_closed || batch->count == batch_segments ||
       batch->used + most > batch_capacity ||
       memcmp(&batch->endpoint, endpoint, sizeof *endpoint) != 0)) {
    flush(device);
  }
  if (batch->count == 0) batch->endpoint = *endpoint;
  return batch_bytes(batch) + batch->used;
}

// Counts what was written there in. All datagrams of a batch have the same size, but for a last one
// that is shorter; a longer one begins a new batch.
static void commit(struct ct_device *device, size_t length) {
  struct batch *batch = &device->batch;
  if (batch->count > 0 && length > batch->size) {
    uint8_t *place = batch_bytes(batch) + batch->used;
    flush(device);
    memmove(batch_bytes(batch), place, length);
  }
  if (batch->count == 0) batch->size = length;
  if (length < batch->size) batch->is_closed = true;
  batch->used += length;
  batch->count++;
}

static bool is_usable(const struct key_pair *pair, uint64_t now) {
  return pair && now - pair->created < reject_after &&
         pair->send_counter < reject_after_messages;
}

static uint8_t *write_header(uint8_t *out, const struct ct_endpoint *endpoint,
                             struct key_pair *pair) {
  if (endpoint->relay_header) {
    for (int index = 0; index < ct_relay_header_size; index++) {
      *out++ = (uint8_t)(endpoint->relay_header >> (56 - 8 * index));
    }
  }
  out[0] = 4;
  out[1] = out[2] = out[3] = 0;
  for (int index = 0; index < 4; index++) out[4 + index] = (uint8_t)(pair->remote_index >> 8 * index);
  for (int index = 0; index < 8; index++) out[8 + index] = (uint8_t)(pair->send_counter >> 8 * index);
  return out + ct_data_header_size;
}

// Encrypts `length` bytes that lie behind the header at their place in the batch.
static bool seal(struct ct_device *device, struct peer *peer, struct key_pair *pair, uint8_t *start,
                 uint8_t *body, size_t length) {
  size_t padded = (length + 15) & ~(size_t)15;
  size_t most = (size_t)device->mtu > length ? (size_t)device->mtu : length;
  if (padded > most) padded = most;
  memset(body + length, 0, padded - length);
  if (ct_aead_seal(pair->seal, pair->send_counter, body, padded) != 0) return false;
  pair->send_counter++;
  size_t total = (size_t)(body - start) + padded + ct_tag_size;
  commit(device, total);
  COUNT(peer->sent_bytes, total);
  COUNT(peer->sent_packets, 1);
  return true;
}

static void send_packet(struct ct_device *device, struct peer *peer, struct key_pair *pair,
                        const struct ct_vnet *vnet, const uint8_t *packet, size_t length,
                        uint64_t now) {
  struct ct_segmenter segmenter;
  if (ct_segmenter_begin(&segmenter, vnet, packet, length) != 0) {
    COUNT(device->bad_packet, 1);
    return;
  }
  const size_t overhead = ct_relay_header_size + ct_data_header_size + ct_tag_size + 16;
  size_t largest = segmenter.splits ? segmenter.header + segmenter.size : length;
  if (largest + overhead > batch_capacity) {
    COUNT(device->bad_packet, 1);
    return;
  }
  for (;;) {
    uint8_t *start = reserve(device, &peer->endpoint, largest + overhead);
    uint8_t *body = write_header(start, &peer->endpoint, pair);
    long count = ct_segmenter_next(&segmenter, body, largest);
    if (count <= 0) break;
    if (!seal(device, peer, pair, start, body, (size_t)count)) break;
  }
  atomic_store_explicit(&peer->last_data_sent, now, memory_order_relaxed);
  atomic_store_explicit(&peer->last_sent, now, memory_order_relaxed);
}

static void send_keepalive(struct ct_device *device, struct peer *peer, struct key_pair *pair,
                           uint64_t now) {
  uint8_t *start = reserve(device, &peer->endpoint, 64);
  uint8_t *body = write_header(start, &peer->endpoint, pair);
  seal(device, peer, pair, start, body, 0);
  atomic_store_explicit(&peer->last_sent, now, memory_order_relaxed);
}

static void keep_waiting(struct ct_device *device, struct peer *peer, const struct ct_vnet *vnet,
                         const uint8_t *packet, size_t length) {
  struct waiting *entry = malloc(sizeof *entry + length);
  if (!entry) return;
  entry->next = NULL;
  entry->length = length;
  entry->vnet = *vnet;
  memcpy(entry->bytes, packet, length);
  if (peer->last_waiting) {
    peer->last_waiting->next = entry;
  } else {
    peer->first_waiting = entry;
  }
  peer->last_waiting = entry;
  peer->waiting_count += length;
  while (peer->waiting_count > waiting_bytes && peer->first_waiting != entry) {
    struct waiting *oldest = peer->first_waiting;
    peer->first_waiting = oldest->next;
    peer->waiting_count -= oldest->length;
    free(oldest);
    COUNT(device->no_room, 1);
  }
}

static struct key_pair *usable_pair(struct ct_device *device, struct peer *peer, uint64_t now) {
  struct key_pair *pair = peer->current;
  if (!is_usable(pair, now)) {
    ct_event_want_key(device, peer, now);
    return NULL;
  }
  if (pair->send_counter >= rekey_after_messages ||
      (pair->is_initiator && now - pair->created >= rekey_after)) {
    ct_event_want_key(device, peer, now);
  }
  return pair;
}

static void handle(struct ct_device *device, const struct ct_vnet *vnet, const uint8_t *packet,
                   size_t length, uint64_t now) {
  bool is_v6 = length >= ip6_header && packet[0] >> 4 == 6;
  bool is_v4 = length >= 20 && packet[0] >> 4 == 4;
  int number = -1;
  if ((is_v6 || is_v4) && device->allowed) {
    number = ct_trie_lookup(device->allowed, packet + (is_v6 ? ip6_destination : ip4_destination),
                            is_v6);
  }
  struct peer *peer = number >= 0 ? device->peers[number] : NULL;
  if (!peer) {
    COUNT(device->no_peer, 1);
    return;
  }
  pthread_mutex_lock(&peer->lock);
  struct key_pair *pair = peer->endpoint.port ? usable_pair(device, peer, now) : NULL;
  if (pair) {
    send_packet(device, peer, pair, vnet, packet, length, now);
  } else {
    if (!peer->endpoint.port) ct_event_want_key(device, peer, now);
    keep_waiting(device, peer, vnet, packet, length);
  }
  pthread_mutex_unlock(&peer->lock);
}

// What the control thread asked for, and what waited for a key that has come.
static void do_work(struct ct_device *device, uint64_t now) {
  for (int number = 0; number < ct_max_peers; number++) {
    struct peer *peer = device->peers[number];
    if (!peer) continue;
    bool has_work = atomic_exchange(&peer->has_work, false);
    bool wants_keepalive = atomic_exchange(&peer->wants_keepalive, false);
    if (!has_work && !wants_keepalive) continue;
    pthread_mutex_lock(&peer->lock);
    struct key_pair *pair = peer->endpoint.port ? peer->current : NULL;
    if (is_usable(pair, now)) {
      struct waiting *entry = peer->first_waiting;
      peer->first_waiting = peer->last_waiting = NULL;
      peer->waiting_count = 0;
      if (!entry && wants_keepalive) send_keepalive(device, peer, pair, now);
      while (entry) {
        struct waiting *following = entry->next;
        send_packet(device, peer, pair, &entry->vnet, entry->bytes, entry->length, now);
        free(entry);
        entry = following;
      }
    }
    pthread_mutex_unlock(&peer->lock);
  }
}

bool ct_outbound_run(struct ct_device *device) {
  uint64_t now = ct_now();
  bool may_be_more = true;
  pthread_rwlock_rdlock(&device->tables);
  if (atomic_exchange(&device->has_work, false)) do_work(device, now);
  for (int round = 0; round < reads_a_round; round++) {
    ssize_t count = read(device->tun, device->read_buffer, sizeof device->read_buffer);
    if (count <= (ssize_t)sizeof(struct ct_vnet)) {
      may_be_more = count >= 0;
      if (count < 0 && errno == EBADFD) atomic_store(&device->tun_is_gone, true);
      break;
    }
    COUNT(device->tun_reads, 1);
    struct ct_vnet vnet;
    memcpy(&vnet, device->read_buffer, sizeof vnet);
    handle(device, &vnet, device->read_buffer + sizeof vnet, (size_t)count - sizeof vnet, now);
  }
  pthread_rwlock_unlock(&device->tables);
  flush(device);
  return may_be_more;
}
