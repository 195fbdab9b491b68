#define _GNU_SOURCE
#include "CSandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { most_inherited = 8, most_spaces = 8 };

// What a failed child tells its parent.
struct failure {
  int step;
  int reason;
};

// The kernel's own structure (Linux 5.12); glibc 2.36 has it, older ones do not.
struct mount_attributes {
  uint64_t set;
  uint64_t clear;
  uint64_t propagation;
  uint64_t userns;
};
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

static void reset_signals(void) {
  struct sigaction action = {.sa_handler = SIG_DFL};
  for (int number = 1; number < NSIG; number++) sigaction(number, &action, NULL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

static int write_text(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  ssize_t count = write(fd, text, strlen(text));
  int reason = count < 0 ? errno : 0;
  close(fd);
  return reason;
}

static void set_oom_score(int score) {
  char text[8];
  int length = 0;
  if (score < 0) text[length++] = '-';
  unsigned value = (unsigned)(score < 0 ? -score : score);
  char digits[6];
  int count = 0;
  do {
    digits[count++] = (char)('0' + value % 10);
    value /= 10;
  } while (value > 0 && count < 5);
  while (count > 0) text[length++] = digits[--count];
  text[length] = 0;
  // Raising it is always allowed; where it is not, the task is no worse off than others.
  write_text("/proc/self/oom_score_adj", text);
}

static int bind(const struct iorun_box_step *step, int device) {
  if (mount(step->source, step->target, NULL, MS_BIND | MS_REC, NULL) < 0) return errno;
  struct mount_attributes attributes = {.set = 2 /* MOUNT_ATTR_NOSUID */};
  unsigned long flags = MS_NOSUID;
  if (!device) {
    attributes.set |= 4 /* MOUNT_ATTR_NODEV */;
    flags |= MS_NODEV;
  }
  if (step->flags & MS_RDONLY) {
    attributes.set |= 1 /* MOUNT_ATTR_RDONLY */;
    flags |= MS_RDONLY;
  }
  if (syscall(SYS_mount_setattr, -1, step->target, 0x8000U /* AT_RECURSIVE */, &attributes,
              sizeof attributes) == 0) {
    return 0;
  }
  if (errno != ENOSYS) return errno;
  // Before 5.12 only the topmost mount: what is mounted below keeps its own flags.
  if (mount(NULL, step->target, NULL, MS_REMOUNT | MS_BIND | flags, NULL) < 0) return errno;
  return 0;
}

static int take_step(const struct iorun_box_step *step) {
  switch (step->kind) {
    case iorun_box_make_folder:
      return mkdir(step->target, (mode_t)step->flags) < 0 && errno != EEXIST ? errno : 0;
    case iorun_box_make_file: {
      int fd = open(step->target, O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644);
      if (fd < 0) return errno;
      close(fd);
      return 0;
    }
    case iorun_box_mount:
      return mount(step->source, step->target, step->type, step->flags, step->data) < 0 ? errno : 0;
    case iorun_box_bind: return bind(step, 0);
    case iorun_box_bind_device: return bind(step, 1);
    case iorun_box_unmount:
      return umount2(step->target, MNT_DETACH) < 0 && errno != EINVAL && errno != ENOENT ? errno : 0;
    case iorun_box_give:
      return lchown(step->target, (uid_t)step->flags, (gid_t)step->flags) < 0 ? errno : 0;
    case iorun_box_new_groups: return unshare(CLONE_NEWCGROUP) < 0 ? errno : 0;
    case iorun_box_write: {
      int reason = write_text(step->target, step->source);
      return step->flags != 0 ? 0 : reason;
    }
    default: return EINVAL;
  }
}

static struct failure prepare_mounts(const struct iorun_box_launch *launch) {
  if (launch->step_count == 0) return (struct failure){0, 0};
  // Slave: what is mounted in here never shows outside.
  if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0) {
    return (struct failure){iorun_box_failed_namespace, errno};
  }
  for (int i = 0; i < launch->step_count; i++) {
    int reason = take_step(&launch->steps[i]);
    if (reason != 0) return (struct failure){iorun_box_failed_mounts + i, reason};
  }
  return (struct failure){0, 0};
}

static int place_descriptors(const struct iorun_box_launch *launch, int limit) {
  int null = -1;
  if (launch->input < 0) {
    null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0) return errno;
  }
  const int sources[3] = {launch->input < 0 ? null : launch->input, launch->output, launch->errors};
  int count = 3 + launch->inherited_count;
  int moved[3 + most_inherited];
  // Out of the way first: a source may be the number of another's target.
  for (int i = 0; i < count; i++) {
    moved[i] = fcntl(i < 3 ? sources[i] : launch->inherited[i - 3], F_DUPFD_CLOEXEC, count);
    if (moved[i] < 0) return errno;
  }
  for (int i = 0; i < count; i++) {
    if (dup2(moved[i], i) < 0) return errno;
  }
#ifdef SYS_close_range
  // 4 is CLOSE_RANGE_CLOEXEC (Linux 5.11).
  if (syscall(SYS_close_range, (unsigned)count, ~0U, 4U) == 0) return 0;
#endif
  for (int fd = count; fd < limit; fd++) {
    int flags = fcntl(fd, F_GETFD);
    if (flags >= 0) fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
  }
  return 0;
}

static int set_limits(const struct iorun_box_launch *launch) {
  for (int i = 0; i < launch->limit_count; i++) {
    struct rlimit present;
    if (getrlimit(launch->limits[i].resource, &present) < 0) return errno;
    rlim_t value = launch->limits[i].value;
    // Lowering needs no right; what is lower already stays.
    if (value > present.rlim_max) value = present.rlim_max;
    struct rlimit wanted = {.rlim_cur = value, .rlim_max = value};
    if (setrlimit(launch->limits[i].resource, &wanted) < 0) return errno;
  }
  return 0;
}

// Waits for the one child of this process, with nothing open that another would wait for, and ends as
// it ended.
_Noreturn static void stand_by(pid_t child, int limit) {
  int closed = -1;
#ifdef SYS_close_range
  closed = (int)syscall(SYS_close_range, 0U, ~0U, 0U);
#endif
  for (int fd = 0; closed < 0 && fd < limit; fd++) close(fd);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

// Goes on in a child, because a namespace of process ids takes only those that are born in it.
static int enter_spaces(const struct iorun_box_launch *launch, int limit) {
  if (launch->space_count == 0) return 0;
  // Inside, the right to change them may be gone.
  if (setgroups(0, NULL) < 0) return errno;
  for (int i = 0; i < launch->space_count; i++) {
    if (setns(launch->spaces[i], 0) < 0) return errno;
  }
  pid_t child = fork();
  if (child < 0) return errno;
  if (child > 0) stand_by(child, limit);
  return 0;
}

static int become_user(uid_t user, int is_inside) {
  if (user == 0) return 0;
  if (!is_inside && setgroups(0, NULL) < 0) return errno;
  if (setresgid(user, user, user) < 0) return errno;
  // From root to another user: the kernel empties the capabilities.
  if (setresuid(user, user, user) < 0) return errno;
  return 0;
}

static int filter_calls(const struct iorun_box_launch *launch) {
  if (launch->filter == NULL) return 0;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return errno;
  struct sock_fprog program = {
      .len = launch->filter_length,
      .filter = (struct sock_filter *)launch->filter,
  };
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) return errno;
  return 0;
}

static struct failure failed(int step, int reason) {
  return (struct failure){.step = step, .reason = reason};
}

// Runs in the child: returns only the failed step.
static struct failure become(const struct iorun_box_launch *launch, pid_t parent, int limit) {
  if (setsid() < 0) return failed(iorun_box_failed_fork, errno);
  // A keyring of its own: the parent's keys are not the child's. Kernels without keyrings refuse.
  syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, NULL);
  for (int i = 0; i < launch->group_count; i++) {
    if (write(launch->groups[i], "0", 1) < 0) return failed(iorun_box_failed_groups, errno);
  }
  if (launch->oom_score != 0) set_oom_score(launch->oom_score);
  if (launch->network >= 0 && setns(launch->network, CLONE_NEWNET) < 0) {
    return failed(iorun_box_failed_network, errno);
  }
  struct failure mounts = prepare_mounts(launch);
  if (mounts.reason != 0) return mounts;
  int is_inside = launch->space_count > 0;
  int reason = enter_spaces(launch, limit);
  if (reason != 0) return failed(iorun_box_failed_namespace, reason);
  if ((reason = place_descriptors(launch, limit)) != 0) return failed(iorun_box_failed_descriptors, reason);
  if ((reason = set_limits(launch)) != 0) return failed(iorun_box_failed_limits, reason);
  if ((reason = become_user(launch->user, is_inside)) != 0) return failed(iorun_box_failed_user, reason);
  // After the change of user, which clears it.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) return failed(iorun_box_failed_fork, errno);
  // A parent that is outside of the namespace has no number in it.
  if (!is_inside && getppid() != parent) _exit(127);
  if (launch->folder != NULL && chdir(launch->folder) < 0) {
    return failed(iorun_box_failed_exec, errno);
  }
  reset_signals();
  if ((reason = filter_calls(launch)) != 0) return failed(iorun_box_failed_filter, reason);
  execve(launch->path, launch->argv, launch->envp);
  return failed(iorun_box_failed_exec, errno);
}

unsigned iorun_device_major(dev_t device) { return major(device); }
unsigned iorun_device_minor(dev_t device) { return minor(device); }

int iorun_box_spawn(const struct iorun_box_launch *launch, pid_t *pid, int *step) {
  *step = iorun_box_failed_fork;
  if (launch->inherited_count < 0 || launch->inherited_count > most_inherited) return EINVAL;
  if (launch->space_count < 0 || launch->space_count > most_spaces) return EINVAL;
  struct rlimit files;
  int limit = getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < 1 << 20
                  ? (int)files.rlim_cur
                  : 1 << 20;
  int report[2];
  if (pipe2(report, O_CLOEXEC) < 0) return errno;
  // The report travels on a descriptor that no target overwrites.
  int report_in = fcntl(report[1], F_DUPFD_CLOEXEC, 3 + most_inherited);
  int reason = report_in < 0 ? errno : 0;
  close(report[1]);
  if (reason != 0) {
    close(report[0]);
    return reason;
  }
  // No handler of the parent may run in the child before its signals are reset.
  sigset_t all, previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  pid_t parent = getpid();
  pid_t child = fork();
  if (child == 0) {
    struct failure failure = become(launch, parent, limit);
    ssize_t ignored = write(report_in, &failure, sizeof failure);
    (void)ignored;
    _exit(127);
  }
  reason = child < 0 ? errno : 0;
  pthread_sigmask(SIG_SETMASK, &previous, NULL);
  close(report_in);
  if (reason == 0) {
    struct failure failure = {0, 0};
    ssize_t count;
    do {
      count = read(report[0], &failure, sizeof failure);
    } while (count < 0 && errno == EINTR);
    if (count == (ssize_t)sizeof failure) {
      reason = failure.reason;
      *step = failure.step;
      while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
      }
    }
  }
  close(report[0]);
  if (reason == 0) *pid = child;
  return reason;
}

int iorun_group_is_delegated(const char *folder) {
  char value = 0;
  if (getxattr(folder, "trusted.delegate", &value, 1) == 1 && value == '1') return 1;
  return getxattr(folder, "user.delegate", &value, 1) == 1 && value == '1';
}
