#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"

static int bound(int family, const struct iorun_path_address *address, int shared) {
  int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  int on = 1, off = 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (shared) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, shared ? &on : &off, sizeof on);
  struct sockaddr_storage place;
  socklen_t length = to_kernel(address, family, &place);
  if (bind(fd, (struct sockaddr *)&place, length) < 0) {
    int failure = errno;
    close(fd);
    return -failure;
  }
  return fd;
}

int iorun_tcp_bound(int is_v6, uint16_t port) {
  struct iorun_path_address any = {.length = is_v6 ? 16 : 4, .port = port};
  return bound(is_v6 ? AF_INET6 : AF_INET, &any, 1);
}

int iorun_tcp_bound_at(const struct iorun_path_address *address) {
  return bound(address->length == 4 ? AF_INET : AF_INET6, address, 0);
}

int iorun_tcp_connect(int fd, const struct iorun_path_address *to, int ttl) {
  int family = to->length == 4 ? AF_INET : AF_INET6;
  if (ttl > 0) {
    if (family == AF_INET)
      setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    else
      setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &ttl, sizeof ttl);
  }
  struct sockaddr_storage place;
  socklen_t length = to_kernel(to, family, &place);
  return connect(fd, (struct sockaddr *)&place, length) < 0 ? -errno : 0;
}

int iorun_tcp_usual_ttl(int fd) {
  int usual = -1;
  setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &usual, sizeof usual);
  return setsockopt(fd, IPPROTO_IP, IP_TTL, &usual, sizeof usual) < 0 ? -errno : 0;
}

int iorun_tcp_outcome(int fd) {
  int failure = 0;
  socklen_t length = sizeof failure;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &length) < 0) return -errno;
  return -failure;
}

int iorun_tcp_listen(const struct iorun_path_address *address, uint16_t port, int backlog) {
  struct iorun_path_address any = {.length = 16, .port = port};
  if (address) any = *address, any.port = port;
  int fd = bound(any.length == 4 ? AF_INET : AF_INET6, &any, 0);
  if (fd == -EAFNOSUPPORT && !address) {
    any.length = 4;
    fd = bound(AF_INET, &any, 0);
  }
  if (fd < 0) return fd;
  if (listen(fd, backlog) < 0) {
    int failure = errno;
    close(fd);
    return -failure;
  }
  return fd;
}

int iorun_tcp_accept(int fd, struct iorun_path_address *from) {
  struct sockaddr_storage place;
  socklen_t length = sizeof place;
  int stream = accept4(fd, (struct sockaddr *)&place, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (stream < 0) return -errno;
  int on = 1;
  setsockopt(stream, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  from_kernel(&place, from);
  return stream;
}

// One direction of a splice: a pipe lies between, because the kernel moves pages only so.
struct direction {
  int from, to, pipe[2];
  size_t held;
  int ended, done;
};

static int step(struct direction *way) {
  if (!way->ended && way->held == 0) {
    ssize_t count = splice(way->from, NULL, way->pipe[1], NULL, 1 << 20,
                           SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (count > 0)
      way->held = (size_t)count;
    else if (count == 0 || (errno != EAGAIN && errno != EINTR))
      way->ended = 1;
  }
  while (way->held > 0) {
    ssize_t count = splice(way->pipe[0], NULL, way->to, NULL, way->held,
                           SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (count > 0) {
      way->held -= (size_t)count;
      continue;
    }
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    return -EPIPE;
  }
  if (way->ended && !way->done) {
    shutdown(way->to, SHUT_WR);
    way->done = 1;
  }
  return 0;
}

int iorun_splice(int one, int other, int stop_fd) {
  struct direction ways[2] = {{.from = one, .to = other}, {.from = other, .to = one}};
  int result = 0;
  if (pipe2(ways[0].pipe, O_CLOEXEC | O_NONBLOCK) < 0) return -errno;
  if (pipe2(ways[1].pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
    result = -errno;
    close(ways[0].pipe[0]), close(ways[0].pipe[1]);
    return result;
  }
  for (int index = 0; index < 2; index++) fcntl(ways[index].pipe[1], F_SETPIPE_SZ, 1 << 20);
  while (!(ways[0].done && ways[1].done)) {
    struct pollfd polled[3] = {{.fd = one}, {.fd = other}, {.fd = stop_fd, .events = POLLIN}};
    for (int index = 0; index < 2; index++) {
      struct direction *way = &ways[index];
      if (way->done) continue;
      if (way->held > 0)
        polled[1 - index].events |= POLLOUT;
      else
        polled[index].events |= POLLIN;
    }
    // A stream whose both directions rest would report its end again and again.
    for (int index = 0; index < 2; index++)
      if (!polled[index].events) polled[index].fd = -1;
    if (poll(polled, 3, -1) < 0 && errno != EINTR) {
      result = -errno;
      break;
    }
    if (polled[2].revents) break;
    if ((result = step(&ways[0])) < 0 || (result = step(&ways[1])) < 0) break;
  }
  for (int index = 0; index < 2; index++) close(ways[index].pipe[0]), close(ways[index].pipe[1]);
  return result;
}
