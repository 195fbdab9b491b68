// Timers that are exact, and a process that is woken when they are due.
#define _GNU_SOURCE
#include "CWanLink.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>

enum { nanoseconds_a_second = 1000000000 };

int64_t iorun_wanlink_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * nanoseconds_a_second + now.tv_nsec;
}

int iorun_wanlink_timer(void) {
  int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  return timer < 0 ? -errno : timer;
}

int iorun_wanlink_arm(int timer, int64_t nanoseconds) {
  struct itimerspec when = {.it_value = {.tv_sec = nanoseconds / nanoseconds_a_second,
                                         .tv_nsec = nanoseconds % nanoseconds_a_second}};
  return timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL) == 0 ? 0 : -errno;
}

int iorun_wanlink_be_prompt(void) {
  int failure = 0;
  if (prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0) != 0) failure = -errno;
  // Low among the real-time priorities: before every ordinary program, after the kernel's own.
  struct sched_param priority = {.sched_priority = 20};
  if (sched_setscheduler(0, SCHED_FIFO, &priority) != 0) failure = -errno;
  return failure;
}

int iorun_wanlink_end_signals(void) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  if (sigprocmask(SIG_BLOCK, &ends, NULL) != 0) return -errno;
  int made = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
  return made < 0 ? -errno : made;
}
