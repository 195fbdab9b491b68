#define _GNU_SOURCE
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "address.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

// Hot path: a turn reads up to 32 buffers with one system call, each of which may hold dozens of
// datagrams of one flow (UDP_GRO), changes four bytes of each datagram, and sends runs of equal
// datagrams to one place as one message (UDP_SEGMENT), all with one system call. Nothing is allocated
// or copied. Where buffers are nearly full, four are read at once: two thirds of the time are the
// kernel's copies in and out, and 256 KiB stay in a core's second-level cache in between, which 2 MiB
// do not. Watched by `iorun-path-bench`.
enum { batch = 32, full_batch = 4, full_bytes = 16384, buffer_size = 65536 };
enum { header_size = 8, run_limit = 512, segment_limit = 64 };
enum { data_byte = 0x9D, disco_byte = 0x9E, control_byte = 0x9C };

struct leg {
  struct iorun_path_address address;
  struct sockaddr_storage kernel;
  socklen_t kernel_length;
  // The address of this machine that it sends to; length 0 until it has sent something.
  struct iorun_path_address local;
  uint32_t tag;
  int is_bound;
};

struct slot {
  uint32_t id;  // 0 stands for a free place; ids are kept with one added.
  struct leg legs[2];
  uint64_t expires;
  uint64_t rate;
  double tokens;
  int64_t filled_at;
  uint64_t bytes;
  uint64_t told_bytes;
};

struct iorun_relay {
  int fd, family;
  uint32_t mask, used, limit;
  struct slot *slots;
  uint8_t *buffers;
  struct iorun_relay_counters counters;
  struct mmsghdr in[batch];
  struct iovec in_parts[batch];
  struct sockaddr_storage in_names[batch];
  struct control_space in_controls[batch];
  struct mmsghdr out[run_limit];
  struct iovec out_parts[run_limit];
  struct control_space out_controls[run_limit];
  int runs;
  int is_full;  // The last buffers held dozens of datagrams each.
};

struct iorun_relay *iorun_relay_create(int fd, uint32_t slots) {
  uint32_t room = 16;
  while (room < slots * 2 && room < 1u << 24) room <<= 1;
  struct iorun_relay *relay = calloc(1, sizeof *relay);
  if (!relay) return NULL;
  relay->slots = calloc(room, sizeof *relay->slots);
  relay->buffers = malloc((size_t)batch * buffer_size);
  if (!relay->slots || !relay->buffers) {
    iorun_relay_free(relay);
    return NULL;
  }
  relay->fd = fd;
  relay->mask = room - 1;
  relay->limit = slots;
  socklen_t length = sizeof relay->family;
  getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &relay->family, &length);
  iorun_udp_tell_local(fd);
  return relay;
}

void iorun_relay_name_thread(void) { prctl(PR_SET_NAME, "path-relay"); }

void iorun_relay_free(struct iorun_relay *relay) {
  if (!relay) return;
  free(relay->slots);
  free(relay->buffers);
  free(relay);
}

static struct slot *find(const struct iorun_relay *relay, uint32_t id) {
  // Fibonacci hashing: numbers that were given one after the other spread over the table.
  for (uint32_t at = id * 2654435769u & relay->mask;; at = (at + 1) & relay->mask) {
    struct slot *slot = &relay->slots[at];
    if (slot->id == id + 1 || slot->id == 0) return slot;
  }
}

// Makes the table anew without what has expired: open addressing cannot simply take out.
static int sweep(struct iorun_relay *relay, uint64_t now_unix) {
  struct slot *old = relay->slots;
  struct slot *fresh = calloc((size_t)relay->mask + 1, sizeof *fresh);
  if (!fresh) return -ENOMEM;
  relay->slots = fresh;
  relay->used = 0;
  for (uint32_t at = 0; at <= relay->mask; at++) {
    if (old[at].id == 0 || old[at].expires <= now_unix) continue;
    *find(relay, old[at].id - 1) = old[at];
    relay->used++;
  }
  free(old);
  return 0;
}

int iorun_relay_install(struct iorun_relay *relay, uint32_t id, int leg, uint32_t tag,
                        const struct iorun_path_address *address, uint64_t expires, uint64_t rate) {
  struct slot *slot = find(relay, id);
  if (slot->id == 0) {
    if (relay->used >= relay->limit) {
      // `expires` is in the future, so nothing that is still good has an earlier end than now.
      return -ENOSPC;
    }
    memset(slot, 0, sizeof *slot);
    slot->id = id + 1;
    slot->tokens = (double)rate;
    relay->used++;
  }
  if (slot->rate != rate) slot->tokens = (double)rate;
  slot->rate = rate;
  if (expires > slot->expires) slot->expires = expires;
  struct leg *end = &slot->legs[leg != 0];
  end->address = *address;
  end->kernel_length = to_kernel(address, relay->family, &end->kernel);
  end->tag = tag;
  end->is_bound = end->kernel_length != 0;
  return 0;
}

static void flush(struct iorun_relay *relay) {
  int at = 0;
  while (at < relay->runs) {
    int sent = sendmmsg(relay->fd, relay->out + at, (unsigned)(relay->runs - at), MSG_DONTWAIT);
    if (sent > 0) {
      at += sent;
      continue;
    }
    // This one cannot go (a full socket, no route, an ICMP answer): the next may.
    relay->counters.dropped_packets++;
    at++;
  }
  relay->runs = 0;
}

static void add_run(struct iorun_relay *relay, struct leg *to, uint8_t *start, size_t count,
                    size_t segment, int segments) {
  if (relay->runs == run_limit) flush(relay);
  int at = relay->runs++;
  relay->out_parts[at] = (struct iovec){.iov_base = start, .iov_len = count};
  struct msghdr *message = &relay->out[at].msg_hdr;
  *message = (struct msghdr){.msg_name = &to->kernel,
                             .msg_namelen = to->kernel_length,
                             .msg_iov = &relay->out_parts[at],
                             .msg_iovlen = 1};
  if (segments > 1) {
    message->msg_control = relay->out_controls[at].bytes;
    message->msg_controllen = CMSG_SPACE(sizeof(uint16_t));
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    header->cmsg_level = IPPROTO_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    uint16_t size = (uint16_t)segment;
    memcpy(CMSG_DATA(header), &size, sizeof size);
  }
  put_source(message, &relay->out_controls[at], &to->local, relay->family);
}

static int takes(struct slot *slot, size_t count, int64_t now) {
  if (slot->rate == 0) return 1;
  if (slot->filled_at) {
    slot->tokens += (double)slot->rate * (double)(now - slot->filled_at) / 1e9;
    if (slot->tokens > (double)slot->rate) slot->tokens = (double)slot->rate;
  }
  slot->filled_at = now;
  if (slot->tokens < (double)count) return 0;
  slot->tokens -= (double)count;
  return 1;
}

// One run: datagrams that follow each other with the same header, from the same source.
static void forward(struct iorun_relay *relay, const struct iorun_path_address *from,
                    const struct iorun_path_address *local, uint8_t *start, size_t count, size_t segment, int segments, int64_t now,
                    uint64_t now_unix) {
  uint32_t id = (uint32_t)start[1] << 16 | (uint32_t)start[2] << 8 | start[3];
  uint32_t tag;
  memcpy(&tag, start + 4, 4);
  tag = ntohl(tag);
  struct slot *slot = find(relay, id);
  struct leg *to = NULL;
  if (slot->id != 0 && slot->expires > now_unix) {
    for (int leg = 0; leg < 2; leg++) {
      struct leg *end = &slot->legs[leg];
      if (end->is_bound && end->tag == tag && same_address(&end->address, from)) {
        end->local = *local;
        to = &slot->legs[1 - leg];
      }
    }
  }
  if (!to || !to->is_bound) {
    relay->counters.refused_packets += (uint64_t)segments;
    return;
  }
  if (!takes(slot, count, now)) {
    relay->counters.dropped_packets += (uint64_t)segments;
    return;
  }
  uint32_t other = htonl(to->tag);
  for (int index = 0; index < segments; index++)
    memcpy(start + (size_t)index * segment + 4, &other, 4);
  slot->bytes += count;
  relay->counters.forwarded_bytes += count;
  relay->counters.forwarded_packets += (uint64_t)segments;
  // The kernel takes at most 64 segments in a message.
  while (segments > segment_limit) {
    add_run(relay, to, start, segment * segment_limit, segment, segment_limit);
    start += segment * segment_limit;
    count -= segment * segment_limit;
    segments -= segment_limit;
  }
  add_run(relay, to, start, count, segment, segments);
}

static size_t gro_size(struct msghdr *message, size_t count) {
  for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
       header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level == IPPROTO_UDP && header->cmsg_type == UDP_GRO) {
      int size;
      memcpy(&size, CMSG_DATA(header), sizeof size);
      if (size > 0) return (size_t)size;
    }
  }
  return count;
}

int iorun_relay_turn(struct iorun_relay *relay, struct iorun_relay_control *controls, int room,
                     int batches, int64_t now, uint64_t now_unix) {
  int control_count = 0;
  if (relay->used >= relay->limit && sweep(relay, now_unix) < 0) return -ENOMEM;
  // So many buffers altogether, however many are read at once.
  for (int left = batches * batch; left > 0;) {
    int wanted = relay->is_full ? full_batch : batch;
    for (int index = 0; index < wanted; index++) {
      relay->in_parts[index] = (struct iovec){
          .iov_base = relay->buffers + (size_t)index * buffer_size, .iov_len = buffer_size};
      relay->in[index].msg_hdr =
          (struct msghdr){.msg_name = &relay->in_names[index],
                          .msg_namelen = sizeof relay->in_names[index],
                          .msg_iov = &relay->in_parts[index],
                          .msg_iovlen = 1,
                          .msg_control = relay->in_controls[index].bytes,
                          .msg_controllen = sizeof relay->in_controls[index].bytes};
    }
    int count = recvmmsg(relay->fd, relay->in, (unsigned)wanted, MSG_DONTWAIT, NULL);
    if (count < 0) {
      if (errno == EAGAIN || errno == EINTR || errno == ECONNREFUSED) break;
      return -errno;
    }
    left -= wanted;
    size_t total = 0;
    for (int index = 0; index < count; index++) {
      uint8_t *bytes = relay->buffers + (size_t)index * buffer_size;
      size_t length = relay->in[index].msg_len;
      total += length;
      size_t segment = gro_size(&relay->in[index].msg_hdr, length);
      struct iorun_path_address from, local;
      from_kernel(&relay->in_names[index], &from);
      local_address(&relay->in[index].msg_hdr, &local);
      size_t at = 0;
      while (at < length) {
        uint8_t *start = bytes + at;
        size_t first = length - at < segment ? length - at : segment;
        if ((start[0] == data_byte || start[0] == disco_byte) && first > header_size) {
          size_t run = first;
          int segments = 1;
          while (at + run < length) {
            size_t next = length - at - run < segment ? length - at - run : segment;
            if (next <= header_size || memcmp(start + run, start, header_size) != 0) break;
            run += next;
            segments++;
          }
          forward(relay, &from, &local, start, run, segment, segments, now, now_unix);
          at += run;
          continue;
        }
        if (start[0] == control_byte && control_count < room &&
            first <= sizeof controls->bytes) {
          struct iorun_relay_control *control = &controls[control_count++];
          control->from = from;
          control->local = local;
          control->count = (uint16_t)first;
          memcpy(control->bytes, start, first);
        } else {
          relay->counters.refused_packets++;
        }
        at += first;
      }
    }
    flush(relay);
    relay->is_full = total >= (size_t)count * full_bytes;
    if (count < wanted) break;
  }
  return control_count;
}

void iorun_relay_read(const struct iorun_relay *relay, struct iorun_relay_counters *counters) {
  *counters = relay->counters;
}

uint64_t iorun_relay_slot_bytes(const struct iorun_relay *relay, uint32_t id) {
  const struct slot *slot = find(relay, id);
  return slot->id == 0 ? 0 : slot->bytes;
}

int iorun_relay_drain_bytes(struct iorun_relay *relay, uint32_t *slots, uint64_t *bytes, int room) {
  int count = 0;
  for (uint32_t at = 0; at <= relay->mask && count < room; at++) {
    struct slot *slot = &relay->slots[at];
    if (slot->id == 0 || slot->bytes == slot->told_bytes) continue;
    slots[count] = slot->id - 1;
    bytes[count++] = slot->bytes - slot->told_bytes;
    slot->told_bytes = slot->bytes;
  }
  return count;
}
