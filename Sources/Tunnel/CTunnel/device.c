#define _GNU_SOURCE
#include "device.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "socket.h"

uint64_t ct_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_BOOTTIME, &time);
  return (uint64_t)time.tv_sec * SECONDS + (uint64_t)time.tv_nsec;
}

static void wait_for(int wake, int one, int other) {
  struct pollfd descriptors[3] = {{wake, POLLIN, 0}, {one, POLLIN, 0}, {other, POLLIN, 0}};
  poll(descriptors, 3, -1);
  if (descriptors[0].revents) ct_quiet(wake);
}

static void *run_outbound(void *argument) {
  struct ct_device *device = argument;
  bool is_alone = device->threads == 1;
  while (!atomic_load(&device->is_stopped)) {
    bool is_busy = ct_outbound_run(device);
    if (is_alone && ct_inbound_run(device)) is_busy = true;
    if (is_busy || atomic_load(&device->has_work)) continue;
    // poll() passes over descriptors below 0; one whose interface is gone would wake it for ever.
    int tun = atomic_load(&device->tun_is_gone) ? -1 : device->tun;
    wait_for(device->wake_outbound, tun, is_alone ? device->socket : -1);
  }
  return NULL;
}

static void *run_inbound(void *argument) {
  struct ct_device *device = argument;
  while (!atomic_load(&device->is_stopped)) {
    if (!ct_inbound_run(device)) wait_for(device->wake_inbound, device->socket, -1);
  }
  return NULL;
}

static bool allocate(struct ct_device *device) {
  device->handshakes.events = calloc(event_capacity, sizeof(struct ct_event));
  device->others.events = calloc(event_capacity, sizeof(struct ct_event));
  device->receive_buffer = calloc(receive_buffers, sizeof *device->receive_buffer);
  device->opened = malloc(opened_capacity + ct_aead_slack);
  device->wake_outbound = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  device->wake_inbound = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  device->wake_events = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return device->handshakes.events && device->others.events && device->receive_buffer && device->opened &&
         device->wake_outbound >= 0 && device->wake_inbound >= 0 && device->wake_events >= 0;
}

struct ct_device *ct_device_start(const struct ct_options *options) {
  struct ct_device *device = calloc(1, sizeof *device);
  if (!device) return NULL;
  device->tun = device->socket = device->wake_outbound = device->wake_inbound = -1;
  device->wake_events = -1;
  device->mtu = options->mtu;
  device->threads = options->threads == 2 ? 2 : 1;
  device->has_gso = true;
  pthread_rwlockattr_t attributes;
  pthread_rwlockattr_init(&attributes);
  // Else the hot threads, which always want to read, could keep the control thread out.
  pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
  pthread_rwlock_init(&device->tables, &attributes);
  pthread_rwlockattr_destroy(&attributes);
  pthread_mutex_init(&device->events_lock, NULL);
  ct_inbound_prepare(device);
  struct sockaddr_storage address;
  socklen_t length = sizeof address;
  if (!allocate(device) ||
      getsockname(options->socket, (struct sockaddr *)&address, &length) < 0) {
    ct_device_destroy(device);
    return NULL;
  }
  device->family = address.ss_family;
  device->tun = options->tun;
  device->socket = options->socket;
  int failure = pthread_create(&device->outbound, NULL, run_outbound, device);
  if (!failure) {
    device->started = 1;
    pthread_setname_np(device->outbound, "tunnel-out");
    if (device->threads == 2) {
      failure = pthread_create(&device->inbound, NULL, run_inbound, device);
      if (!failure) {
        device->started = 2;
        pthread_setname_np(device->inbound, "tunnel-in");
      }
    }
  }
  if (failure) {
    ct_device_stop(device);
    device->tun = device->socket = -1;  // still the caller's
    ct_device_destroy(device);
    errno = failure;
    return NULL;
  }
  return device;
}

void ct_device_stop(struct ct_device *device) {
  atomic_store(&device->is_stopped, true);
  ct_signal(device->wake_outbound);
  ct_signal(device->wake_inbound);
  ct_signal(device->wake_events);
  if (device->started >= 1) pthread_join(device->outbound, NULL);
  if (device->started >= 2) pthread_join(device->inbound, NULL);
  device->started = 0;
  ct_signal(device->wake_events);
}

static void close_if_open(int descriptor) {
  if (descriptor >= 0) close(descriptor);
}

void ct_device_destroy(struct ct_device *device) {
  for (int number = 0; number < ct_max_peers; number++) {
    if (device->peers[number]) ct_peer_remove(device, (uint16_t)number);
  }
  ct_trie_destroy(device->allowed);
  free(device->handshakes.events);
  free(device->others.events);
  if (device->opened) OPENSSL_cleanse(device->opened, opened_capacity + ct_aead_slack);
  free(device->opened);
  free(device->receive_buffer);
  close_if_open(device->tun);
  close_if_open(device->socket);
  close_if_open(device->wake_outbound);
  close_if_open(device->wake_inbound);
  close_if_open(device->wake_events);
  pthread_rwlock_destroy(&device->tables);
  pthread_mutex_destroy(&device->events_lock);
  // Plain packets have been in its buffers.
  OPENSSL_cleanse(device, sizeof *device);
  free(device);
}

int ct_device_send(struct ct_device *device, const struct ct_endpoint *endpoint,
                   const uint8_t *bytes, size_t count, int ttl) {
  struct sockaddr_storage address;
  socklen_t length = ct_address_write(endpoint, device->family, &address);
  if (length == 0 || endpoint->port == 0) return -EAFNOSUPPORT;
  uint8_t header[ct_relay_header_size];
  for (int index = 0; index < ct_relay_header_size; index++) {
    header[index] = (uint8_t)(endpoint->relay_header >> (56 - 8 * index));
  }
  struct iovec pieces[2] = {{header, endpoint->relay_header ? sizeof header : 0},
                            {(void *)bytes, count}};
  struct msghdr message = {
      .msg_name = &address, .msg_namelen = length, .msg_iov = pieces, .msg_iovlen = 2};
  union {
    uint8_t bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control;
  if (ttl > 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = &control;
    message.msg_controllen = sizeof control.bytes;
    struct cmsghdr *option = CMSG_FIRSTHDR(&message);
    option->cmsg_level = endpoint->is_v6 ? IPPROTO_IPV6 : IPPROTO_IP;
    option->cmsg_type = endpoint->is_v6 ? IPV6_HOPLIMIT : IP_TTL;
    option->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(option), &ttl, sizeof ttl);
  }
  return sendmsg(device->socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

void ct_device_drops(struct ct_device *device, struct ct_drops *drops) {
  *drops = (struct ct_drops){
      .unknown_index = device->unknown_index,
      .replayed = device->replayed,
      .not_authentic = device->not_authentic,
      .not_allowed = device->not_allowed,
      .no_peer = device->no_peer,
      .no_room = device->no_room,
      .bad_packet = device->bad_packet,
      .send_failed = device->send_failed,
      .events = device->lost_events,
      .interface_gone = atomic_load(&device->tun_is_gone),
  };
}

void ct_device_batches(struct ct_device *device, struct ct_batches *batches) {
  *batches = (struct ct_batches){
      .sent_packets = device->sent_packets,
      .send_calls = device->send_calls,
      .received_packets = device->received_packets,
      .receive_calls = device->receive_calls,
      .tun_reads = device->tun_reads,
      .tun_writes = device->tun_writes,
  };
}
