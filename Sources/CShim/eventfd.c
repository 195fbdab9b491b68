#define _GNU_SOURCE
#include "CShim.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

int iorun_eventfd_create(void) {
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return fd >= 0 ? fd : -errno;
}

int iorun_eventfd_signal(int fd) {
  uint64_t one = 1;
  for (;;) {
    if (write(fd, &one, sizeof one) == (ssize_t)sizeof one) return 0;
    // A full counter is signalled already.
    if (errno == EAGAIN) return 0;
    if (errno != EINTR) return -errno;
  }
}

int iorun_eventfd_drain(int fd) {
  uint64_t count;
  for (;;) {
    if (read(fd, &count, sizeof count) == (ssize_t)sizeof count) return 1;
    if (errno == EAGAIN) return 0;
    if (errno != EINTR) return -errno;
  }
}
