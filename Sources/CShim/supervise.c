// The parent of one rank's process tree: a subreaper, so that whatever the rank leaves behind, also
// what left its session and forked twice, becomes its child and can be found and killed. It outlives
// its own parent by no more than the time that takes.
#define _GNU_SOURCE
#include "CShim.h"
#include "process_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

// What a supervisor knows between two events.
struct supervisor {
  pid_t child;
  int signals;
  int64_t grace_ms;
  bool child_ended;
  bool tree_ended;
  bool asked;
  bool killing;
  bool channel_open;
  // When the leftovers of a child that ended by itself are killed.
  int64_t kill_at_ms;
  int64_t kill_interval_ms;
  struct iorun_record end;
};

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void send_record(struct iorun_record record) {
  // A reader that is gone is no reason to fail: nobody is left to be told.
  ssize_t ignored = send(iorun_channel_descriptor, &record, sizeof record, MSG_NOSIGNAL);
  (void)ignored;
}

static int refuse(int reason) {
  send_record((struct iorun_record){.kind = iorun_record_not_started, .value = reason});
  return 1;
}

// The environment comes in a file and not as this process's own, so that neither LD_PRELOAD meant
// for the rank nor its secrets get into the supervisor.
static char **read_environment(void) {
  size_t size = 0, capacity = 1 << 16;
  char *text = malloc(capacity + 1);
  while (text != NULL) {
    if (size == capacity) {
      capacity *= 2;
      char *larger = realloc(text, capacity + 1);
      if (larger == NULL) return NULL;
      text = larger;
    }
    ssize_t count = read(iorun_environment_descriptor, text + size, capacity - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return NULL;
    if (count == 0) break;
    size += (size_t)count;
  }
  close(iorun_environment_descriptor);
  if (text == NULL) return NULL;
  text[size] = 0;
  size_t entries = 0;
  for (size_t i = 0; i < size; i++) entries += text[i] == 0;
  char **list = calloc(entries + 2, sizeof *list);
  if (list == NULL) return NULL;
  size_t index = 0;
  for (char *entry = text; entry < text + size; entry += strlen(entry) + 1) list[index++] = entry;
  return list;
}

// Blocks what is read from a descriptor and ignores what others send to stop a program.
static int take_signals(sigset_t *previous) {
  const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGTTOU, SIGTTIN, SIGTSTP};
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_IGN);
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  if (sigprocmask(SIG_BLOCK, &wanted, previous) < 0) return -1;
  return signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
}

// Runs in the child; returns only the errno of a failed step.
static int become_command(char *const argv[], char **environment, pid_t parent,
                          const sigset_t *previous) {
  if (isatty(STDIN_FILENO)) {
    // The terminal that this program was given becomes the command's own: keys such as Ctrl-C reach
    // it, and it hears of the terminal's size.
    if (setsid() < 0 || ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0) return errno;
  } else {
    setpgid(0, 0);
  }
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) return errno;
  if (getppid() != parent) _exit(127);
  struct sigaction action = {.sa_handler = SIG_DFL};
  for (int number = 1; number < NSIG; number++) sigaction(number, &action, NULL);
  sigprocmask(SIG_SETMASK, previous, NULL);
  // The command is looked up in the rank's own PATH.
  environ = environment;
  execvp(argv[0], argv);
  return errno;
}

// Starts the command and waits until it runs or is known not to. Returns 0 or an errno.
static int start_command(struct supervisor *self, char *const argv[], char **environment,
                         const sigset_t *previous) {
  int report[2];
  if (pipe2(report, O_CLOEXEC) < 0) return errno;
  pid_t parent = getpid();
  self->child = fork();
  if (self->child < 0) return errno;
  if (self->child == 0) {
    int reason = become_command(argv, environment, parent, previous);
    ssize_t ignored = write(report[1], &reason, sizeof reason);
    (void)ignored;
    _exit(127);
  }
  close(report[1]);
  int reason = 0;
  ssize_t count;
  do {
    count = read(report[0], &reason, sizeof reason);
  } while (count < 0 && errno == EINTR);
  close(report[0]);
  if (count != (ssize_t)sizeof reason) return 0;
  while (waitpid(self->child, NULL, 0) < 0 && errno == EINTR) {
  }
  return reason;
}

// Collects every child that ended. No child left means no descendant left: an orphan becomes a
// child of this process before its parent's end can be collected.
static void reap(struct supervisor *self) {
  for (;;) {
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid < 0 && errno == EINTR) continue;
    if (pid < 0) self->tree_ended = true;
    if (pid <= 0) return;
    if (pid != self->child) continue;
    self->child_ended = true;
    self->end = (struct iorun_record){
        .kind = WIFSIGNALED(status) ? iorun_record_signalled : iorun_record_exited,
        .value = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
        .asked = self->asked,
    };
    self->kill_at_ms = now_ms() + self->grace_ms;
  }
}

static void read_signals(struct supervisor *self) {
  struct signalfd_siginfo information;
  while (read(self->signals, &information, sizeof information) == (ssize_t)sizeof information) {
  }
}

static void read_channel(struct supervisor *self) {
  unsigned char orders[16];
  ssize_t count = recv(iorun_channel_descriptor, orders, sizeof orders, MSG_DONTWAIT);
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (count <= 0) {
    self->channel_open = false;
    self->killing = true;
    return;
  }
  for (ssize_t i = 0; i < count; i++) {
    if (orders[i] & iorun_control_signal) {
      // Not the tree's end: the command decides what it does. Its id is good until it is reaped.
      if (!self->child_ended) kill(-self->child, orders[i] & ~iorun_control_signal);
      continue;
    }
    if (orders[i] == iorun_control_kill) self->killing = true;
    if (orders[i] == iorun_control_terminate) signal_descendants(SIGTERM);
    self->asked = self->asked || !self->child_ended;
  }
}

// How long to wait for the next event, in milliseconds.
static int wait_time(const struct supervisor *self) {
  if (self->killing) return (int)self->kill_interval_ms;
  if (!self->child_ended) return -1;
  int64_t left = self->kill_at_ms - now_ms();
  return left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

static void supervise(struct supervisor *self) {
  bool told_leftovers = false;
  for (;;) {
    reap(self);
    if (self->tree_ended) return;
    if (self->child_ended && !told_leftovers) {
      signal_descendants(SIGTERM);
      told_leftovers = true;
    }
    if (self->child_ended && now_ms() >= self->kill_at_ms) self->killing = true;
    if (self->killing) {
      signal_descendants(SIGKILL);
      // A process in the kernel's hands may take long; asking more often does not help.
      if (self->kill_interval_ms < 250) self->kill_interval_ms *= 2;
    }
    struct pollfd events[2] = {
        {.fd = self->signals, .events = POLLIN},
        {.fd = self->channel_open ? iorun_channel_descriptor : -1, .events = POLLIN},
    };
    if (poll(events, 2, wait_time(self)) < 0) continue;
    if (events[0].revents != 0) read_signals(self);
    // A child that ended before the order was read ended by itself.
    reap(self);
    if (events[1].revents != 0) read_channel(self);
  }
}

int iorun_supervise(int argc, char *const argv[]) {
  if (argc < 4 || strcmp(argv[1], "__supervise") != 0) {
    fprintf(stderr, "iorun __supervise is started by a node's agent, not by hand\n");
    return 64;
  }
  prctl(PR_SET_NAME, "iorun-rank");
  if (fcntl(iorun_channel_descriptor, F_SETFD, FD_CLOEXEC) < 0) return 64;
  sigset_t previous;
  struct supervisor self = {
      .signals = take_signals(&previous),
      .grace_ms = strtol(argv[2], NULL, 10),
      .channel_open = true,
      .kill_interval_ms = 5,
  };
  if (self.signals < 0) return refuse(errno);
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) return refuse(errno);
  const char *network_folder = strchr(argv[2], '@');
  if (network_folder != NULL) {
    int refusal = iorun_enter_network(iorun_network_descriptor, network_folder + 1);
    if (refusal != 0) return refuse(refusal);
    close(iorun_network_descriptor);
  }
  char **environment = read_environment();
  if (environment == NULL) return refuse(errno != 0 ? errno : ENOMEM);
  int failure = start_command(&self, argv + 3, environment, &previous);
  if (failure != 0) return refuse(failure);
  send_record((struct iorun_record){.kind = iorun_record_started, .value = self.child});
  // The command's streams are its own: who reads them hears of their end, and not of ours.
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; null >= 0 && fd < 3; fd++) dup2(null, fd);
  supervise(&self);
  send_record(self.end);
  return 0;
}
