#define _GNU_SOURCE
#include "CShim.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { most_inherited = 8 };

// Close-on-exec for every descriptor from `first` on. Only async-signal-safe calls; `limit` was
// read before the fork.
static void seal_from(int first, int limit) {
#ifdef SYS_close_range
  // 4 is CLOSE_RANGE_CLOEXEC (Linux 5.11).
  if (syscall(SYS_close_range, (unsigned)first, ~0U, 4U) == 0) return;
#endif
  for (int fd = first; fd < limit; fd++) {
    int flags = fcntl(fd, F_GETFD);
    if (flags >= 0) fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
  }
}

static void reset_signals(void) {
  struct sigaction action = {.sa_handler = SIG_DFL};
  // KILL, STOP and the C library's own real-time signals refuse; that is right.
  for (int number = 1; number < NSIG; number++) sigaction(number, &action, NULL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

// Runs in the child: returns only the errno of a failed step.
static int become(const char *path, char *const argv[], char *const envp[], const char *cwd,
                  const struct iorun_streams *streams, const int *inherited, int inherited_count,
                  int limit) {
  if (setsid() < 0) return errno;
  if (streams->network >= 0 && setns(streams->network, CLONE_NEWNET) < 0) return errno;
  if (streams->mounts >= 0 && setns(streams->mounts, CLONE_NEWNS) < 0) return errno;
  int null = -1;
  if (streams->input < 0) {
    null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0) return errno;
  }
  const int sources[3] = {streams->input < 0 ? null : streams->input, streams->output,
                          streams->errors};
  int first_free = 3 + inherited_count;
  int moved[3 + most_inherited];
  // Out of the way first: a source may be the number of another's target.
  for (int i = 0; i < 3 + inherited_count; i++) {
    moved[i] = fcntl(i < 3 ? sources[i] : inherited[i - 3], F_DUPFD_CLOEXEC, first_free);
    if (moved[i] < 0) return errno;
  }
  for (int i = 0; i < 3 + inherited_count; i++) {
    if (dup2(moved[i], i) < 0) return errno;
  }
  seal_from(first_free, limit);
  if (cwd != NULL && chdir(cwd) < 0) return errno;
  reset_signals();
  execve(path, argv, envp);
  return errno;
}

int iorun_spawn(const char *path, char *const argv[], char *const envp[], const char *cwd,
                int output, const int *inherited, int inherited_count, pid_t *pid) {
  const struct iorun_streams streams = {
      .input = -1, .output = output, .errors = output, .network = -1, .mounts = -1};
  return iorun_spawn_with(path, argv, envp, cwd, &streams, inherited, inherited_count, pid);
}

int iorun_spawn_with(const char *path, char *const argv[], char *const envp[], const char *cwd,
                     const struct iorun_streams *streams, const int *inherited,
                     int inherited_count, pid_t *pid) {
  if (inherited_count < 0 || inherited_count > most_inherited) return EINVAL;
  struct rlimit files;
  int limit = getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < 1 << 20
                  ? (int)files.rlim_cur
                  : 1 << 20;
  int report[2];
  if (pipe2(report, O_CLOEXEC) < 0) return errno;
  // The errno travels on a descriptor that no target overwrites.
  int report_in = fcntl(report[1], F_DUPFD_CLOEXEC, 3 + most_inherited);
  int failure = report_in < 0 ? errno : 0;
  close(report[1]);
  if (failure != 0) {
    close(report[0]);
    return failure;
  }
  // No handler of the parent may run in the child before its signals are reset.
  sigset_t all, previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  pid_t child = fork();
  if (child == 0) {
    int reason = become(path, argv, envp, cwd, streams, inherited, inherited_count, limit);
    ssize_t ignored = write(report_in, &reason, sizeof reason);
    (void)ignored;
    _exit(127);
  }
  failure = child < 0 ? errno : 0;
  pthread_sigmask(SIG_SETMASK, &previous, NULL);
  close(report_in);
  if (failure == 0) {
    int reason = 0;
    ssize_t count;
    do {
      count = read(report[0], &reason, sizeof reason);
    } while (count < 0 && errno == EINTR);
    if (count == (ssize_t)sizeof reason) {
      failure = reason;
      while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
      }
    }
  }
  close(report[0]);
  if (failure == 0) *pid = child;
  return failure;
}
