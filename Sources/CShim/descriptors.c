#define _GNU_SOURCE
#include "CShim.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

int iorun_pipe(int fds[2]) { return pipe2(fds, O_CLOEXEC) == 0 ? 0 : -errno; }

int iorun_socket_pair(int fds[2]) {
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0 ? 0 : -errno;
}

int iorun_memory_file(const void *bytes, size_t count) {
  int fd = memfd_create("iorun-environment", MFD_CLOEXEC);
  if (fd < 0) return -errno;
  size_t done = 0;
  while (done < count) {
    ssize_t written = write(fd, (const char *)bytes + done, count - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      int failure = written < 0 ? errno : EIO;
      close(fd);
      return -failure;
    }
    done += (size_t)written;
  }
  if (lseek(fd, 0, SEEK_SET) < 0) {
    int failure = errno;
    close(fd);
    return -failure;
  }
  return fd;
}

int iorun_send_byte(int socket, uint8_t byte) {
  for (;;) {
    if (send(socket, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1) return 0;
    if (errno != EINTR) return -errno;
  }
}
