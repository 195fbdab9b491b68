// Memory that sandboxes share with their agent.
#define _GNU_SOURCE
#include "CSandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int iorun_box_shared_memory(int64_t size) {
  int fd = memfd_create("iorun-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  // Whoever may write to a file may cut it off, and a read beyond its end would kill the agent.
  if (ftruncate(fd, size) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
    return fd;
  int reason = errno;
  close(fd);
  return -reason;
}
