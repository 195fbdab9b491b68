// The few Linux calls that Swift cannot make well: variadic or macro-only ones, and everything
// between fork and exec. One concern a file; no state, no allocation that outlives a call.
#ifndef IORUN_CSHIM_H
#define IORUN_CSHIM_H

#include <stdint.h>
#include <sys/types.h>

// eventfd.c: a counter that wakes a poll loop.

// A new eventfd (close-on-exec, non-blocking), or -errno.
int iorun_eventfd_create(void);
// Wakes whoever polls `fd`; any number of signals before a drain are one. 0, or -errno.
int iorun_eventfd_signal(int fd);
// Makes `fd` quiet again. Returns 1 if it had been signalled, 0 if not, or -errno.
int iorun_eventfd_drain(int fd);

// descriptors.c: pairs of descriptors, all close-on-exec.

// A pipe; fds[0] is read from. 0, or -errno.
int iorun_pipe(int fds[2]);
// A pair of connected stream sockets. 0, or -errno.
int iorun_socket_pair(int fds[2]);
// An anonymous file that holds `count` bytes, read from its start by whoever inherits it. The
// descriptor, or -errno.
int iorun_memory_file(const void *bytes, size_t count);
// Sends one byte; never raises SIGPIPE, never blocks. 0, or -errno.
int iorun_send_byte(int socket, uint8_t byte);

// spawn.c: starts a program in a session of its own, from a process with many threads.

// Runs `path` with `argv` and `envp` in folder `cwd` (NULL: the present one): stdin is /dev/null,
// stdout and stderr are `output`, `inherited[i]` becomes descriptor 3 + i, every other descriptor
// is closed; all signals have their default action and none is blocked. Returns 0 and the process
// id once the program runs, else the errno of the step that failed. At most 8 are inherited.
int iorun_spawn(const char *path, char *const argv[], char *const envp[], const char *cwd,
                int output, const int *inherited, int inherited_count, pid_t *pid);

// host.c: what the kernel grants to this process.

// How many CPUs this process may run on, at least 1.
int iorun_cpu_count(void);

// supervise.c: the parent of one rank's process tree.

// What a supervisor writes on its channel: `iorun_record_started` once, then one of the others,
// or `iorun_record_not_started` alone.
struct iorun_record {
  uint32_t kind;
  // The process id, the exit status, the signal, or the errno.
  int32_t value;
  // 1 where the supervisor had been told to stop the tree before the command ended by itself.
  uint32_t asked;
};
enum {
  iorun_record_started = 1,
  iorun_record_exited = 2,
  iorun_record_signalled = 3,
  iorun_record_not_started = 4,
};
// What its parent may write on the channel: SIGTERM to all, or SIGKILL to all until none is left.
// The end of the channel (the parent is dead) means the same as 'K'.
enum {
  iorun_control_terminate = 'T',
  iorun_control_kill = 'K',
};
// Where a supervisor finds its channel (a stream socket) and the command's environment (a file of
// NAME=VALUE strings, each followed by a zero byte).
enum {
  iorun_channel_descriptor = 3,
  iorun_environment_descriptor = 4,
};
// The whole life of a supervisor, `iorun __supervise GRACE_MS COMMAND ARGUMENT...`: call it first
// thing in main with main's own arguments, before any thread is started. Returns the exit status.
int iorun_supervise(int argc, char *const argv[]);

#endif
