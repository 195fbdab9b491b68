// What the control thread changes: peers, their keys and addresses.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

static void unlink_pair(struct ct_device *device, struct key_pair *pair) {
  struct key_pair **place = &device->indexes[pair->local_index % index_buckets];
  while (*place && *place != pair) place = &(*place)->next_in_bucket;
  if (*place) *place = pair->next_in_bucket;
}

static void free_pair(struct ct_device *device, struct key_pair *pair) {
  if (!pair) return;
  unlink_pair(device, pair);
  ct_aead_destroy(pair->seal);
  ct_aead_destroy(pair->open);
  free(pair);
}

static void free_retired(struct ct_device *device, struct peer *peer) {
  while (peer->retired) {
    struct key_pair *pair = peer->retired;
    peer->retired = pair->next_retired;
    free_pair(device, pair);
  }
}

static void free_waiting(struct peer *peer) {
  while (peer->first_waiting) {
    struct waiting *entry = peer->first_waiting;
    peer->first_waiting = entry->next;
    free(entry);
  }
  peer->last_waiting = NULL;
  peer->waiting_count = 0;
}

static void free_pairs(struct ct_device *device, struct peer *peer) {
  free_retired(device, peer);
  free_pair(device, peer->current);
  free_pair(device, peer->previous);
  free_pair(device, peer->next);
  peer->current = peer->previous = peer->next = NULL;
}

static void remember_relays(struct ct_device *device) {
  memset(device->relays, 0, sizeof device->relays);
  for (int number = 0; number < ct_max_peers; number++) {
    struct peer *peer = device->peers[number];
    uint64_t header = peer ? peer->endpoint.relay_header : 0;
    if (!header) continue;
    uint64_t at = header;
    while (device->relays[at % relay_buckets] && device->relays[at % relay_buckets] != header) at++;
    device->relays[at % relay_buckets] = header;
  }
}

// Tells the outbound thread.
static void set_work(struct ct_device *device, struct peer *peer) {
  atomic_store(&peer->has_work, true);
  atomic_store(&device->has_work, true);
  ct_signal(device->wake_outbound);
}

// The peer, with the tables held for writing; NULL, and they are free.
static struct peer *lock_peer(struct ct_device *device, uint16_t number) {
  if (number >= ct_max_peers) return NULL;
  pthread_rwlock_wrlock(&device->tables);
  struct peer *peer = device->peers[number];
  if (!peer) pthread_rwlock_unlock(&device->tables);
  return peer;
}

int ct_peer_add(struct ct_device *device, uint16_t number, bool roams) {
  if (number >= ct_max_peers) return -EINVAL;
  pthread_rwlock_wrlock(&device->tables);
  int result = 0;
  if (device->peers[number]) {
    device->peers[number]->roams = roams;
  } else {
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer) {
      pthread_mutex_init(&peer->lock, NULL);
      peer->roams = roams;
      device->peers[number] = peer;
    } else {
      result = -ENOMEM;
    }
  }
  pthread_rwlock_unlock(&device->tables);
  return result;
}

int ct_peer_remove(struct ct_device *device, uint16_t number) {
  struct peer *peer = lock_peer(device, number);
  if (!peer) return -ENOENT;
  free_pairs(device, peer);
  free_waiting(peer);
  pthread_mutex_destroy(&peer->lock);
  device->peers[number] = NULL;
  free(peer);
  remember_relays(device);
  pthread_rwlock_unlock(&device->tables);
  return 0;
}

int ct_peer_set_endpoint(struct ct_device *device, uint16_t number,
                         const struct ct_endpoint *endpoint) {
  struct peer *peer = lock_peer(device, number);
  if (!peer) return -ENOENT;
  peer->endpoint = *endpoint;
  remember_relays(device);
  pthread_rwlock_unlock(&device->tables);
  set_work(device, peer);
  return 0;
}

int ct_peer_learn_endpoint(struct ct_device *device, uint16_t number,
                           const struct ct_endpoint *source) {
  struct peer *peer = lock_peer(device, number);
  if (!peer) return -ENOENT;
  if (ct_may_roam(peer, source)) {
    peer->endpoint = *source;
    remember_relays(device);
  }
  pthread_rwlock_unlock(&device->tables);
  set_work(device, peer);
  return 0;
}

int ct_peer_endpoint(struct ct_device *device, uint16_t number, struct ct_endpoint *endpoint) {
  struct peer *peer = lock_peer(device, number);
  if (!peer) return -ENOENT;
  *endpoint = peer->endpoint;
  pthread_rwlock_unlock(&device->tables);
  return 0;
}

int ct_allowed_replace(struct ct_device *device, const struct ct_allowed *ranges, size_t count) {
  struct ct_trie *trie = ct_trie_create(ranges, count);
  if (!trie) return -ENOMEM;
  pthread_rwlock_wrlock(&device->tables);
  struct ct_trie *old = device->allowed;
  device->allowed = trie;
  pthread_rwlock_unlock(&device->tables);
  ct_trie_destroy(old);
  return 0;
}

int ct_session_install(struct ct_device *device, uint16_t number,
                       const struct ct_session *session) {
  struct key_pair *pair = calloc(1, sizeof *pair);
  if (!pair) return -ENOMEM;
  pair->local_index = session->local_index;
  pair->remote_index = session->remote_index;
  pair->peer = number;
  pair->is_initiator = session->is_initiator;
  pair->created = session->created;
  pair->seal = ct_aead_create(session->send_key);
  pair->open = ct_aead_create(session->receive_key);
  bool is_made = pair->seal && pair->open;
  struct peer *peer = is_made ? lock_peer(device, number) : NULL;
  if (!peer) {
    ct_aead_destroy(pair->seal);
    ct_aead_destroy(pair->open);
    free(pair);
    return is_made ? -ENOENT : -ENOMEM;
  }
  free_retired(device, peer);
  struct key_pair **bucket = &device->indexes[pair->local_index % index_buckets];
  pair->next_in_bucket = *bucket;
  *bucket = pair;
  // As wireguard-go and the kernel do it: a pair that was never proved gives way to a newer one.
  if (pair->is_initiator) {
    if (peer->next) {
      free_pair(device, peer->previous);
      free_pair(device, peer->current);
      peer->previous = peer->next;
      peer->next = NULL;
    } else {
      free_pair(device, peer->previous);
      peer->previous = peer->current;
    }
    peer->current = pair;
  } else {
    free_pair(device, peer->next);
    peer->next = pair;
    free_pair(device, peer->previous);
    peer->previous = NULL;
  }
  // The first packet of who began proves the key to the other side.
  if (pair->is_initiator) atomic_store(&peer->wants_keepalive, true);
  pthread_rwlock_unlock(&device->tables);
  if (pair->is_initiator) set_work(device, peer);
  return 0;
}

int ct_sessions_erase(struct ct_device *device, uint16_t number) {
  struct peer *peer = lock_peer(device, number);
  if (!peer) return -ENOENT;
  free_pairs(device, peer);
  free_waiting(peer);
  pthread_rwlock_unlock(&device->tables);
  return 0;
}

bool ct_session_exists(struct ct_device *device, uint32_t local_index) {
  pthread_rwlock_rdlock(&device->tables);
  struct key_pair *pair = device->indexes[local_index % index_buckets];
  while (pair && pair->local_index != local_index) pair = pair->next_in_bucket;
  pthread_rwlock_unlock(&device->tables);
  return pair != NULL;
}

int ct_peer_keepalive(struct ct_device *device, uint16_t number) {
  struct peer *peer = lock_peer(device, number);
  if (!peer) return -ENOENT;
  free_retired(device, peer);
  atomic_store(&peer->wants_keepalive, true);
  pthread_rwlock_unlock(&device->tables);
  set_work(device, peer);
  return 0;
}

int ct_peer_drop_waiting(struct ct_device *device, uint16_t number) {
  struct peer *peer = lock_peer(device, number);
  if (!peer) return -ENOENT;
  free_waiting(peer);
  pthread_rwlock_unlock(&device->tables);
  return 0;
}

int ct_peer_traffic(struct ct_device *device, uint16_t number, struct ct_traffic *traffic) {
  struct peer *peer = lock_peer(device, number);
  if (!peer) return -ENOENT;
  *traffic = (struct ct_traffic){
      .sent_bytes = peer->sent_bytes,
      .received_bytes = peer->received_bytes,
      .sent_packets = peer->sent_packets,
      .received_packets = peer->received_packets,
      .last_data_sent = peer->last_data_sent,
      .last_data_received = peer->last_data_received,
      .last_sent = peer->last_sent,
      .last_received = peer->last_received,
      .key_created = peer->current ? peer->current->created : 0,
  };
  pthread_rwlock_unlock(&device->tables);
  return 0;
}
