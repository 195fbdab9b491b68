// Sets a process's wall clock as `date -s` sets a machine's: to be preloaded. CLOCK_REALTIME is the true
// one and so many seconds as the file says that SET_CLOCK_FILE names, read anew each time. All other
// clocks, and every timer, stay what they are.
//
// (libfaketime also moves timers: with a clock set back, a timer of CLOCK_MONOTONIC that it sees set to
// an absolute time fires as much later, which no machine does.)
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long long seconds_ahead(void) {
  const char *path = getenv("SET_CLOCK_FILE");
  if (path == NULL) return 0;
  int before = errno;
  long long ahead = 0;
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    char text[32];
    ssize_t length = read(file, text, sizeof text - 1);
    if (length > 0) {
      text[length] = 0;
      ahead = strtoll(text, NULL, 10);
    }
    close(file);
  }
  errno = before;
  return ahead;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  static int (*real)(clockid_t, struct timespec *);
  if (real == NULL) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    time->tv_sec += seconds_ahead();
  }
  return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  (void)zone;
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *seconds) {
  struct timespec now = {0};
  clock_gettime(CLOCK_REALTIME, &now);
  if (seconds != NULL) *seconds = now.tv_sec;
  return now.tv_sec;
}
