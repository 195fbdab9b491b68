#define _GNU_SOURCE
#include "CShim.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// What `ps` shows of a process is the start of its stack, which a fork has copied: arguments and
// variables of the one that it was forked from, wiped here. Fields 48 to 51 of /proc/self/stat say
// where they lie (proc(5)).
static void wipe_arguments(void) {
  char text[1024];
  int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  ssize_t count = read(fd, text, sizeof text - 1);
  close(fd);
  if (count <= 0) return;
  text[count] = 0;
  // The name, in parentheses, may hold anything: what follows it begins with field 3.
  char *next = strrchr(text, ')');
  if (next == NULL) return;
  next += 2;
  unsigned long field[52] = {0};
  for (int i = 3; i < 52 && *next != 0; i++) {
    field[i] = strtoul(next, NULL, 10);
    next = strchr(next, ' ');
    if (next == NULL) break;
    next++;
  }
  for (int i = 48; i < 51; i += 2) {
    if (field[i] != 0 && field[i + 1] > field[i]) {
      memset((void *)field[i], 0, field[i + 1] - field[i]);
    }
  }
}

static void hold(int fd, int milliseconds) {
  prctl(PR_SET_NAME, "iorun-release");
  setpriority(PRIO_PROCESS, 0, 19);
  wipe_arguments();
  // Everything but `fd`: nobody is to wait for an end of a pipe or socket that is held here.
#ifdef SYS_close_range
  if (fd > 0) syscall(SYS_close_range, 0U, (unsigned)fd - 1, 0U);
  syscall(SYS_close_range, (unsigned)fd + 1, ~0U, 0U);
#endif
  poll(NULL, 0, milliseconds);
}

int iorun_release_later(int fd, int milliseconds) {
  sigset_t all, previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  // Twice, so that nobody has to wait for it: only async-signal-safe calls from here on.
  pid_t child = fork();
  if (child == 0) {
    pid_t grandchild = setsid() < 0 ? -1 : fork();
    if (grandchild == 0) hold(fd, milliseconds);
    _exit(grandchild < 0 ? 1 : 0);
  }
  int failure = child < 0 ? errno : 0;
  pthread_sigmask(SIG_SETMASK, &previous, NULL);
  if (failure != 0) return -failure;
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return -errno;
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EAGAIN;
}
