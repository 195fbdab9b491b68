#define _GNU_SOURCE
#include "CShim.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int address_of(const char *path, struct sockaddr_un *address) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  if (strlen(path) >= sizeof address->sun_path) return -ENAMETOOLONG;
  strcpy(address->sun_path, path);
  return 0;
}

static int fail(int fd) {
  int failure = errno;
  close(fd);
  return -failure;
}

int iorun_unix_listen(const char *path, int backlog) {
  struct sockaddr_un address;
  int failure = address_of(path, &address);
  if (failure != 0) return failure;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) return fail(fd);
  if (listen(fd, backlog) != 0) return fail(fd);
  return fd;
}

int iorun_unix_accept(int listener, uint32_t *uid, int32_t *pid) {
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return -errno;
  struct ucred peer;
  socklen_t length = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return fail(fd);
  *uid = peer.uid;
  *pid = peer.pid;
  return fd;
}

int iorun_unix_connect(const char *path) {
  struct sockaddr_un address;
  int failure = address_of(path, &address);
  if (failure != 0) return failure;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) return fail(fd);
  return fd;
}

ssize_t iorun_send(int fd, const struct iovec *parts, int count) {
  struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};
  for (;;) {
    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return sent;
    if (errno != EINTR) return -errno;
  }
}
