#define _GNU_SOURCE
#include "CShim.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

int iorun_cpu_count(void) {
  // A machine may have more CPUs than a static set holds; the kernel says EINVAL until the set is
  // large enough.
  for (int size = 1024; size <= 1 << 20; size *= 4) {
    cpu_set_t *set = CPU_ALLOC(size);
    if (set == NULL) break;
    size_t bytes = CPU_ALLOC_SIZE(size);
    int result = sched_getaffinity(0, bytes, set);
    int failure = errno;
    int count = result == 0 ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (result == 0) return count > 0 ? count : 1;
    if (failure != EINVAL) break;
  }
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (int)online : 1;
}
