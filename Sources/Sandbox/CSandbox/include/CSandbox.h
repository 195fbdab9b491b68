// What a sandbox needs between fork and exec, and the program that looks at a sandbox from inside.
#ifndef IORUN_CSANDBOX_H
#define IORUN_CSANDBOX_H

#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

// launch.c: starts a program that may do less than its parent.

// One step of preparing the mounts of a namespace of the child's own.
enum iorun_box_step_kind {
  // Makes a folder; `flags` is its mode. One that is there already is fine.
  iorun_box_make_folder = 1,
  // Makes an empty file, as a place to mount a file on.
  iorun_box_make_file = 2,
  // mount(source, target, type, flags, data).
  iorun_box_mount = 3,
  // Shows `source` with all that is mounted below it at `target`, nosuid and nodev; `flags` with
  // MS_RDONLY: read-only throughout.
  iorun_box_bind = 4,
  // Takes away what is mounted at `target`; nothing there is fine.
  iorun_box_unmount = 5,
  // Like iorun_box_bind, but devices below stay usable.
  iorun_box_bind_device = 6,
  // Gives `target` to the user and group `flags`.
  iorun_box_give = 7,
  // From here on, the control groups that this process is in are the roots that it sees.
  iorun_box_new_groups = 8,
  // Writes the text `source` into the file `target`; with `flags` other than 0 a refusal is fine.
  iorun_box_write = 9,
};
struct iorun_box_step {
  int kind;
  unsigned long flags;
  const char *source;
  const char *target;
  const char *type;
  const char *data;
};

// Limits of setrlimit(2), under names that Swift can read.
enum {
  iorun_limit_core = RLIMIT_CORE,
  iorun_limit_files = RLIMIT_NOFILE,
  iorun_limit_file_size = RLIMIT_FSIZE,
  iorun_limit_locked = RLIMIT_MEMLOCK,
  iorun_limit_queues = RLIMIT_MSGQUEUE,
};
struct iorun_box_limit {
  int resource;
  uint64_t value;
};

struct iorun_box_launch {
  const char *path;
  char *const *argv;
  char *const *envp;
  // NULL: the present one.
  const char *folder;
  // Descriptors; `input` -1 is /dev/null. `inherited[i]` becomes 3 + i, all others are closed.
  int input;
  int output;
  int errors;
  const int *inherited;
  int inherited_count;
  // Open files `cgroup.procs` (`tasks`) of the control groups to begin in.
  const int *groups;
  int group_count;
  const struct iorun_box_limit *limits;
  int limit_count;
  // With at least one step, a mount namespace of its own.
  const struct iorun_box_step *steps;
  int step_count;
  // A network namespace to begin in, or -1.
  int network;
  // The namespaces of a sandbox that runs, to begin in: its user namespace last, which `user` is
  // then one of. The program is a child of the process that is started, which ends as it does. At
  // most 8.
  const int *spaces;
  int space_count;
  // The user and group to become, with no other groups; 0: stay who we are.
  uid_t user;
  // A filter for system calls (struct sock_filter, 8 bytes each), or NULL. Sets no_new_privs.
  const void *filter;
  unsigned short filter_length;
  // Between -1000 and 1000; more is killed first when memory runs out.
  int oom_score;
};

// Which step failed: what `iorun_box_spawn` leaves in `*step` beside the errno. From
// `iorun_box_failed_mounts` on, the difference is the index of the mount step.
enum iorun_box_failure {
  iorun_box_failed_fork = 1,
  iorun_box_failed_groups = 2,
  iorun_box_failed_network = 3,
  iorun_box_failed_descriptors = 4,
  iorun_box_failed_limits = 5,
  iorun_box_failed_user = 6,
  iorun_box_failed_filter = 7,
  iorun_box_failed_exec = 8,
  iorun_box_failed_namespace = 9,
  iorun_box_failed_mounts = 100,
};

// Starts it in a session of its own; it is killed when the calling thread ends. Returns 0 and the
// process id once the program runs, else an errno and the failed step. At most 8 are inherited.
int iorun_box_spawn(const struct iorun_box_launch *launch, pid_t *pid, int *step);

// The two numbers of a device's node.
unsigned iorun_device_major(dev_t device);
unsigned iorun_device_minor(dev_t device);

// device_filter.c: which devices a control group's processes may open.

// May be read and written. `minor` -1: every one.
struct iorun_device_rule {
  int is_block;
  int64_t major;
  int64_t minor;
};
// Lets the processes of a group of version 2 (an open folder) open these devices and no others, and
// make none. At most 512 rules. 0, or an errno.
int iorun_device_filter(int group, const struct iorun_device_rule *rules, int count);

// shared_memory.c: memory that sandboxes share with their agent.

// An anonymous file of `size` zero bytes, whose size nobody can change. The descriptor, or -errno.
int iorun_box_shared_memory(int64_t size);

// canary.c: looks at a sandbox from inside.

// The whole life of a canary: `PROGRAM __canary look FILE PORT PIDS TMP_BYTES` prints a line
// `NAME ok` or `NAME bad REASON` for each thing that must hold in a sandbox; `... memory` takes memory
// until it is killed. Call it first thing in main with main's own arguments. Returns the exit status.
int iorun_canary(int argc, char *const argv[]);

// proc_events.c: word of every process that begins.

// A process forked (`is_exec` 0) or became another program (1).
struct iorun_proc_event {
  pid_t pid;
  int is_exec;
};
// Begins to listen: needs CAP_NET_ADMIN in the first namespaces of the machine. The descriptor, or
// -errno.
int iorun_proc_events_open(void);
// Waits at most `timeout_ms` and fills at most `count` events. How many, or -errno: -ENOBUFS where
// some were lost.
int iorun_proc_events_read(int fd, struct iorun_proc_event *events, int count, int timeout_ms);

// folder.c: paths of an image below the folder that it is unpacked in.

// Opens `path` as if `root` were `/`: links and `..` lead nowhere else. The descriptor, or -errno.
int iorun_open_in_root(int root, const char *path, int flags);
// Removes everything in a folder, following no link. 0, or an errno.
int iorun_empty_folder(int folder);
// Removes a file or a folder with all that is in it, following no link; what is not there is fine.
// 0, or an errno.
int iorun_remove_at(int folder, const char *name);

// launch.c: 1 where systemd has handed the control group `folder` over to a unit (`Delegate=yes`).
int iorun_group_is_delegated(const char *folder);

#endif
