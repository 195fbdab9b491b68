// Folders of an image that is being unpacked: every path is the image's, and may be meant to harm.
#define _GNU_SOURCE
#include "CSandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int iorun_open_in_root(int root, const char *path, int flags) {
  struct open_how how = {
      .flags = (unsigned long long)(flags | O_CLOEXEC),
      .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
  };
  for (int tries = 0;; tries++) {
    long fd = syscall(SYS_openat2, root, path, &how, sizeof how);
    if (fd >= 0) return (int)fd;
    if (tries == 64 || (errno != EINTR && errno != EAGAIN)) return -errno;
  }
}

enum { most_levels = 512 };

static int empty(int folder, int levels) {
  if (levels == 0) return ELOOP;
  DIR *list = fdopendir(folder);
  if (list == NULL) {
    int reason = errno;
    close(folder);
    return reason;
  }
  int reason = 0;
  struct dirent *entry;
  while (reason == 0 && (entry = readdir(list)) != NULL) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (unlinkat(dirfd(list), entry->d_name, 0) == 0) continue;
    if (errno != EISDIR && errno != EPERM) {
      reason = errno;
      break;
    }
    int below =
        openat(dirfd(list), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below < 0) {
      reason = errno;
      break;
    }
    reason = empty(below, levels - 1);
    if (reason == 0 && unlinkat(dirfd(list), entry->d_name, AT_REMOVEDIR) < 0) reason = errno;
  }
  closedir(list);
  return reason;
}

int iorun_empty_folder(int folder) {
  int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return copy < 0 ? errno : empty(copy, most_levels);
}

int iorun_remove_at(int folder, const char *name) {
  if (unlinkat(folder, name, 0) == 0 || errno == ENOENT) return 0;
  if (errno != EISDIR && errno != EPERM) return errno;
  int below = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (below < 0) return errno;
  int reason = empty(below, most_levels);
  if (reason != 0) return reason;
  return unlinkat(folder, name, AT_REMOVEDIR) < 0 ? errno : 0;
}
