#define _GNU_SOURCE
#include "CShim.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

int iorun_poller_create(void) {
  int fd = epoll_create1(EPOLL_CLOEXEC);
  return fd >= 0 ? fd : -errno;
}

static int control(int poller, int operation, int fd, uint64_t key, int events) {
  struct epoll_event event = {.events = 0, .data.u64 = key};
  if (events & iorun_poller_read) event.events |= EPOLLIN;
  if (events & iorun_poller_write) event.events |= EPOLLOUT;
  return epoll_ctl(poller, operation, fd, &event) == 0 ? 0 : -errno;
}

int iorun_poller_add(int poller, int fd, uint64_t key, int events) {
  return control(poller, EPOLL_CTL_ADD, fd, key, events);
}

int iorun_poller_change(int poller, int fd, uint64_t key, int events) {
  return control(poller, EPOLL_CTL_MOD, fd, key, events);
}

int iorun_poller_once(int poller, int fd, uint64_t key, int events) {
  struct epoll_event event = {.events = EPOLLONESHOT | EPOLLRDHUP, .data.u64 = key};
  if (events & iorun_poller_read) event.events |= EPOLLIN;
  if (events & iorun_poller_write) event.events |= EPOLLOUT;
  if (epoll_ctl(poller, EPOLL_CTL_MOD, fd, &event) == 0) return 0;
  if (errno != ENOENT) return -errno;
  return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

int iorun_poller_wait(int poller, struct iorun_ready *ready, int count, int timeout_ms) {
  struct epoll_event events[64];
  if (count > 64) count = 64;
  int found = epoll_wait(poller, events, count, timeout_ms);
  if (found < 0) return errno == EINTR ? 0 : -errno;
  for (int index = 0; index < found; index++) {
    uint32_t flags = events[index].events;
    ready[index].key = events[index].data.u64;
    // A connection that broke is read: the read tells how.
    ready[index].events = (flags & (EPOLLIN | EPOLLHUP | EPOLLERR) ? iorun_poller_read : 0) |
                          (flags & EPOLLOUT ? iorun_poller_write : 0) |
                          (flags & (EPOLLHUP | EPOLLERR) ? iorun_poller_broken : 0);
  }
  return found;
}
