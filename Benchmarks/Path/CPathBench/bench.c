#define _GNU_SOURCE
#include "CPathBench.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int64_t pathbench_flood(int fd, uint16_t port, const uint8_t header[8], int size, double seconds) {
  struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  to.sin6_addr.s6_addr[10] = to.sin6_addr.s6_addr[11] = 0xFF;
  to.sin6_addr.s6_addr[12] = 127, to.sin6_addr.s6_addr[15] = 1;
  int segments = 60000 / size;
  uint8_t *bytes = calloc((size_t)segments, (size_t)size);
  if (!bytes) return -ENOMEM;
  for (int index = 0; index < segments; index++) memcpy(bytes + index * size, header, 8);
  union {
    char bytes[CMSG_SPACE(sizeof(uint16_t))];
    struct cmsghdr align;
  } control = {0};
  struct iovec part = {.iov_base = bytes, .iov_len = (size_t)(segments * size)};
  struct msghdr message = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &part,
                           .msg_iovlen = 1, .msg_control = control.bytes,
                           .msg_controllen = sizeof control.bytes};
  struct cmsghdr *option = CMSG_FIRSTHDR(&message);
  option->cmsg_level = IPPROTO_UDP, option->cmsg_type = UDP_SEGMENT;
  option->cmsg_len = CMSG_LEN(sizeof(uint16_t));
  uint16_t segment = (uint16_t)size;
  memcpy(CMSG_DATA(option), &segment, sizeof segment);
  int64_t total = 0;
  double end = now() + seconds;
  while (now() < end) {
    ssize_t sent = sendmsg(fd, &message, 0);
    if (sent > 0)
      total += sent;
    else if (errno == EAGAIN)
      poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 10);
    else if (errno != ECONNREFUSED && errno != EINTR) {
      total = -errno;
      break;
    }
  }
  free(bytes);
  return total;
}

int64_t pathbench_sink(int fd, double seconds) {
  static uint8_t bytes[65536];
  int64_t total = 0;
  double end = now() + seconds;
  for (;;) {
    if (poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 500) == 0 && now() > end) return total;
    ssize_t count = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (count > 0) total += count;
  }
}

int pathbench_tcp_pair(int fds[2]) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof place;
  if (listener < 0 || bind(listener, (struct sockaddr *)&place, sizeof place) < 0 ||
      listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&place, &length) < 0)
    return -errno;
  fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fds[0] < 0 || connect(fds[0], (struct sockaddr *)&place, sizeof place) < 0) return -errno;
  fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  close(listener);
  return fds[1] < 0 ? -errno : 0;
}

int64_t pathbench_write(int fd, double seconds) {
  static uint8_t bytes[1 << 18];
  int64_t total = 0;
  double end = now() + seconds;
  while (now() < end) {
    ssize_t count = send(fd, bytes, sizeof bytes, MSG_NOSIGNAL);
    if (count < 0) return -errno;
    total += count;
  }
  shutdown(fd, SHUT_WR);
  return total;
}

int64_t pathbench_read(int fd) {
  static uint8_t bytes[1 << 18];
  int64_t total = 0;
  for (;;) {
    ssize_t count = recv(fd, bytes, sizeof bytes, 0);
    if (count < 0) return -errno;
    if (count == 0) return total;
    total += count;
  }
}

int64_t pathbench_thread_ns(const char *name) {
  DIR *tasks = opendir("/proc/self/task");
  if (!tasks) return -1;
  int64_t found = -1;
  for (struct dirent *entry; found < 0 && (entry = readdir(tasks));) {
    char path[300], text[64] = {0};
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
    FILE *file = fopen(path, "r");
    if (!file) continue;
    int is_it = fgets(text, sizeof text, file) && strncmp(text, name, strlen(name)) == 0;
    fclose(file);
    if (!is_it) continue;
    snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", entry->d_name);
    if (!(file = fopen(path, "r"))) continue;
    long long value;
    if (fscanf(file, "%lld", &value) == 1) found = value;
    fclose(file);
  }
  closedir(tasks);
  return found;
}

void pathbench_name_thread(const char *name) { prctl(PR_SET_NAME, name); }
