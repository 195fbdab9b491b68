// The flag with which files are read and written past the page cache.
#define _GNU_SOURCE
#include <fcntl.h>

#include "CPoW.h"

int iorun_pow_direct_flag(void) {
#ifdef O_DIRECT
  return O_DIRECT;
#else
  return 0;
#endif
}
