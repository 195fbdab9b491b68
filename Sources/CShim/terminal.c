#define _GNU_SOURCE
#include "CShim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

static struct winsize size_of(int rows, int columns) {
  return (struct winsize){.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
}

int iorun_terminal_open(int rows, int columns, int fds[2]) {
  int ours = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (ours < 0) return -errno;
  char name[64];
  struct winsize size = size_of(rows, columns);
  int theirs = -1;
  if (grantpt(ours) == 0 && unlockpt(ours) == 0 && ptsname_r(ours, name, sizeof name) == 0 &&
      ioctl(ours, TIOCSWINSZ, &size) == 0 && fcntl(ours, F_SETFL, O_NONBLOCK) == 0) {
    theirs = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
  }
  if (theirs < 0) {
    int reason = errno;
    close(ours);
    return -reason;
  }
  fds[0] = ours;
  fds[1] = theirs;
  return 0;
}

int iorun_terminal_resize(int fd, int rows, int columns) {
  struct winsize size = size_of(rows, columns);
  return ioctl(fd, TIOCSWINSZ, &size) == 0 ? 0 : -errno;
}

int iorun_terminal_size(int fd, int *rows, int *columns) {
  struct winsize size;
  if (ioctl(fd, TIOCGWINSZ, &size) < 0) return -errno;
  *rows = size.ws_row;
  *columns = size.ws_col;
  return 0;
}

// The guard's whole life: it waits for the end of the pipe, which is its parent's, and restores.
// Only async-signal-safe calls: the parent had threads.
static void stand_by(int fd, int pipe_end, const struct termios *before) {
  setsid();  // Neither the terminal's keys nor its hang-up are meant for the guard.
  for (int number = 1; number < NSIG; number++) signal(number, SIG_IGN);
  // Nobody who reads what the parent prints may have to wait for the guard.
  int kept[2] = {dup(fd), dup(pipe_end)};
  if (kept[0] < 0 || kept[1] < 0) _exit(1);
  for (int i = 0; i < 1024; i++) {
    if (i != kept[0] && i != kept[1]) close(i);
  }
#ifdef SYS_close_range
  syscall(SYS_close_range, 1024U, ~0U, 0U);
#endif
  char byte;
  while (read(kept[1], &byte, 1) < 0 && errno == EINTR) {
  }
  tcsetattr(kept[0], TCSADRAIN, before);
  _exit(0);
}

int iorun_terminal_make_raw(int fd, pid_t *guard) {
  struct termios before;
  if (tcgetattr(fd, &before) < 0) return -errno;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
  pid_t child = fork();
  if (child == 0) {
    close(ends[1]);
    stand_by(fd, ends[0], &before);
  }
  int reason = child < 0 ? errno : 0;
  close(ends[0]);
  struct termios raw = before;
  cfmakeraw(&raw);
  if (reason == 0 && tcsetattr(fd, TCSADRAIN, &raw) < 0) reason = errno;
  if (reason != 0) {
    close(ends[1]);
    return -reason;
  }
  *guard = child;
  return ends[1];
}
