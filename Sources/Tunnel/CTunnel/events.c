#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "device.h"

void ct_signal(int eventfd) {
  uint64_t one = 1;
  // It can only fail where the counter is full, and then it is set anyway.
  ssize_t done = write(eventfd, &one, sizeof one);
  (void)done;
}

void ct_quiet(int eventfd) {
  uint64_t count;
  ssize_t done = read(eventfd, &count, sizeof count);
  (void)done;
}

void ct_event_push(struct ct_device *device, enum ct_event_kind kind,
                   const struct ct_endpoint *source, const uint8_t *bytes, size_t count) {
  if (count > ct_max_event_bytes) {
    COUNT(device->bad_packet, 1);
    return;
  }
  struct event_ring *ring = kind == ct_event_handshake ? &device->handshakes : &device->others;
  pthread_mutex_lock(&device->events_lock);
  bool has_room = ring->count < event_capacity;
  if (has_room) {
    struct ct_event *event = &ring->events[(ring->head + ring->count++) % event_capacity];
    event->kind = kind;
    event->count = (uint16_t)count;
    event->source = *source;
    memcpy(event->bytes, bytes, count);
  }
  pthread_mutex_unlock(&device->events_lock);
  if (has_room) {
    ct_signal(device->wake_events);
  } else {
    COUNT(device->lost_events, 1);
  }
}

void ct_event_want_key(struct ct_device *device, struct peer *peer, uint64_t now) {
  uint64_t asked = atomic_load_explicit(&peer->asked, memory_order_relaxed);
  if (asked && now - asked < SECONDS / 10) return;
  atomic_store_explicit(&peer->asked, now, memory_order_relaxed);
  atomic_store(&peer->wants_key, true);
  atomic_store(&device->has_news, true);
  ct_signal(device->wake_events);
}

void ct_event_confirm(struct ct_device *device, struct peer *peer) {
  atomic_store(&peer->is_confirmed, true);
  atomic_store(&device->has_news, true);
  ct_signal(device->wake_events);
}

// Word of peers needs no room in a queue, so that no flood can crowd it out.
static bool take_news(struct ct_device *device, struct ct_event *event) {
  if (!atomic_exchange(&device->has_news, false)) return false;
  bool found = false;
  pthread_rwlock_rdlock(&device->tables);
  for (int number = 0; number < ct_max_peers && !found; number++) {
    struct peer *peer = device->peers[number];
    if (!peer) continue;
    if (atomic_exchange(&peer->is_confirmed, false)) {
      event->kind = ct_event_confirmed;
      found = true;
    } else if (atomic_exchange(&peer->wants_key, false)) {
      event->kind = ct_event_wants_key;
      found = true;
    }
    event->peer = (uint16_t)number;
  }
  pthread_rwlock_unlock(&device->tables);
  if (found) atomic_store(&device->has_news, true);  // there may be more
  return found;
}

static bool pop(struct ct_device *device, struct event_ring *ring, struct ct_event *event) {
  if (ring->count == 0) return false;
  const struct ct_event *oldest = &ring->events[ring->head];
  event->kind = oldest->kind;
  event->count = oldest->count;
  event->source = oldest->source;
  memcpy(event->bytes, oldest->bytes, oldest->count);
  ring->head = (ring->head + 1) % event_capacity;
  ring->count--;
  event->waiting = ring->count;
  device->others_next = ring == &device->handshakes;
  return true;
}

static bool take_datagram(struct ct_device *device, struct ct_event *event) {
  pthread_mutex_lock(&device->events_lock);
  struct event_ring *first = device->others_next ? &device->others : &device->handshakes;
  struct event_ring *second = device->others_next ? &device->handshakes : &device->others;
  bool found = pop(device, first, event) || pop(device, second, event);
  pthread_mutex_unlock(&device->events_lock);
  return found;
}

void ct_device_next_event(struct ct_device *device, struct ct_event *event, int timeout_ms) {
  event->kind = ct_event_none;
  event->waiting = 0;
  for (int round = 0; round < 2; round++) {
    if (atomic_load(&device->is_stopped)) {
      event->kind = ct_event_closed;
      return;
    }
    if (take_news(device, event) || take_datagram(device, event)) return;
    if (round) return;
    struct pollfd descriptor = {.fd = device->wake_events, .events = POLLIN};
    if (poll(&descriptor, 1, timeout_ms) > 0) ct_quiet(device->wake_events);
  }
}

void ct_device_wake(struct ct_device *device) { ct_signal(device->wake_events); }
