// A ticket on the command line is seen by every user of the machine in `ps` for as long as the process
// runs. It is overwritten where the kernel reads it, as soon as the program has a copy.

#include <string.h>

#include "CShim.h"

static int argument_count;
static char **argument_values;

// glibc hands main's arguments to constructors: these point to what /proc/PID/cmdline shows, which
// copies that a runtime makes do not.
__attribute__((constructor)) static void keep_arguments(int count, char **values, char **environment) {
  (void)environment;
  argument_count = count;
  argument_values = values;
}

int iorun_hide_arguments(const char *prefix) {
  const size_t length = strlen(prefix);
  int hidden = 0;
  for (int index = 1; index < argument_count; index++) {
    char *found = argument_values[index] ? strstr(argument_values[index], prefix) : NULL;
    if (found == NULL || length == 0) continue;
    memset(found + length, 'x', strlen(found + length));
    hidden++;
  }
  return hidden;
}
