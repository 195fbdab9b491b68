#define _GNU_SOURCE
#include "CShim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int iorun_namespace_of(pid_t pid, const char *kind, int *fd) {
  char path[64], own[64];
  snprintf(path, sizeof path, "/proc/%d/ns/%.8s", (int)pid, kind);
  snprintf(own, sizeof own, "/proc/self/ns/%.8s", kind);
  *fd = open(path, O_RDONLY | O_CLOEXEC);
  if (*fd < 0) return -errno;
  struct stat theirs, ours;
  int reason = fstat(*fd, &theirs) < 0 || stat(own, &ours) < 0 ? errno : 0;
  if (reason == 0 && (theirs.st_ino != ours.st_ino || theirs.st_dev != ours.st_dev)) return 0;
  close(*fd);
  *fd = -1;
  return -reason;
}

struct attempt {
  int network;
  const uint8_t *ip;
  int ip_length;
  uint16_t port;
  int result;
};

static int begin(const struct attempt *self) {
  struct sockaddr_storage address = {0};
  socklen_t length;
  if (self->ip_length == 4) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    v4->sin_family = AF_INET;
    v4->sin_port = htons(self->port);
    memcpy(&v4->sin_addr, self->ip, 4);
    length = sizeof *v4;
  } else if (self->ip_length == 16) {
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(self->port);
    memcpy(&v6->sin6_addr, self->ip, 16);
    length = sizeof *v6;
  } else {
    return -EINVAL;
  }
  if (self->network >= 0 && setns(self->network, CLONE_NEWNET) < 0) return -errno;
  int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(fd, (struct sockaddr *)&address, length) < 0 && errno != EINPROGRESS) {
    int reason = errno;
    close(fd);
    return -reason;
  }
  return fd;
}

static void *begin_elsewhere(void *argument) {
  struct attempt *self = argument;
  self->result = begin(self);
  return NULL;
}

int iorun_tcp_begin_connect(int network, const uint8_t *ip, int ip_length, uint16_t port) {
  struct attempt attempt = {
      .network = network, .ip = ip, .ip_length = ip_length, .port = port, .result = -EIO};
  if (network < 0) return begin(&attempt);
  // A thread that ends: the namespace is its own, and a socket stays where it was made.
  pthread_t thread;
  int failure = pthread_create(&thread, NULL, begin_elsewhere, &attempt);
  if (failure != 0) return -failure;
  pthread_join(thread, NULL);
  return attempt.result;
}

int iorun_tcp_connect_result(int fd) {
  int reason = 0;
  socklen_t length = sizeof reason;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &length) < 0) return -errno;
  return -reason;
}

int iorun_local_listen(const char *address, uint16_t port, uint16_t *bound) {
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } where;
  memset(&where, 0, sizeof where);
  socklen_t length;
  if (inet_pton(AF_INET, address, &where.v4.sin_addr) == 1) {
    where.v4.sin_family = AF_INET;
    where.v4.sin_port = htons(port);
    length = sizeof where.v4;
  } else if (inet_pton(AF_INET6, address, &where.v6.sin6_addr) == 1) {
    where.v6.sin6_family = AF_INET6;
    where.v6.sin6_port = htons(port);
    length = sizeof where.v6;
  } else {
    return -EINVAL;
  }
  int fd = socket(where.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, &where.any, length) < 0 || listen(fd, 256) < 0 ||
      getsockname(fd, &where.any, &length) < 0) {
    int reason = errno;
    close(fd);
    return -reason;
  }
  *bound = ntohs(where.any.sa_family == AF_INET ? where.v4.sin_port : where.v6.sin6_port);
  return fd;
}

int iorun_local_accept(int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return -errno;
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

int iorun_tcp_abort_on_close(int fd) {
  struct linger now = {.l_onoff = 1, .l_linger = 0};
  return setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0 ? 0 : -errno;
}
