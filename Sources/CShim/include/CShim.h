// The few Linux calls that Swift cannot make well: variadic or macro-only ones, and everything
// between fork and exec. One concern a file; no state, no allocation that outlives a call.
#ifndef IORUN_CSHIM_H
#define IORUN_CSHIM_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

// eventfd.c: a counter that wakes a poll loop.

// A new eventfd (close-on-exec, non-blocking), or -errno.
int iorun_eventfd_create(void);
// Wakes whoever polls `fd`; any number of signals before a drain are one. 0, or -errno.
int iorun_eventfd_signal(int fd);
// Makes `fd` quiet again. Returns 1 if it had been signalled, 0 if not, or -errno.
int iorun_eventfd_drain(int fd);

// poller.c: which of many descriptors can be read or written (epoll, level-triggered).

// One descriptor that can be, under the key it was added with.
struct iorun_ready {
  uint64_t key;
  int events;
};
enum {
  iorun_poller_read = 1,
  iorun_poller_write = 2,
  // The other end is gone, whatever was asked for.
  iorun_poller_broken = 4,
};
// A new poller (close-on-exec), or -errno. Closed descriptors leave it by themselves.
int iorun_poller_create(void);
// Watches `fd` for `events`. 0, or -errno.
int iorun_poller_add(int poller, int fd, uint64_t key, int events);
// Watches it for others. 0, or -errno.
int iorun_poller_change(int poller, int fd, uint64_t key, int events);
// Watches `fd` for `events` until it has been ready once; called again, it is watched again. 0, or
// -errno.
int iorun_poller_once(int poller, int fd, uint64_t key, int events);
// Waits at most `timeout_ms` (-1: for good) and fills at most 64 of `ready`. How many, or -errno.
int iorun_poller_wait(int poller, struct iorun_ready *ready, int count, int timeout_ms);

// tcp_state.c: what the kernel knows of a connection.

// How many milliseconds ago the other end's kernel acknowledged something over an established TCP
// connection; -errno, or -ENOTCONN where it is not established.
int iorun_tcp_acknowledgement_age(int fd);

// unix_socket.c: stream sockets with a path.

// A socket that listens at `path`; non-blocking, close-on-exec. The descriptor, or -errno.
int iorun_unix_listen(const char *path, int backlog);
// The next connection, non-blocking and close-on-exec, and who made it as the kernel knows it. The
// descriptor, or -errno.
int iorun_unix_accept(int listener, uint32_t *uid, int32_t *pid);
// A connection, blocking and close-on-exec. The descriptor, or -errno.
int iorun_unix_connect(const char *path);
// Sends what the socket takes at once, without SIGPIPE. How many bytes, or -errno.
ssize_t iorun_send(int fd, const struct iovec *parts, int count);

// pidfd.c: a process by a descriptor, which never means another process later.

// The process with that id now. The descriptor, or -errno.
int iorun_pidfd_open(pid_t pid);
// Sends it a signal. 0, or -errno.
int iorun_pidfd_signal(int pidfd, int signal);

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
// The descriptors that a program begins with: `input` -1 is /dev/null. `network` and `mounts` are
// the namespaces to begin in, -1 for the present ones; others need CAP_SYS_ADMIN.
struct iorun_streams {
  int input;
  int output;
  int errors;
  int network;
  int mounts;
};
// The same with streams of its own.
int iorun_spawn_with(const char *path, char *const argv[], char *const envp[], const char *cwd,
                     const struct iorun_streams *streams, const int *inherited,
                     int inherited_count, pid_t *pid);

// terminal.c: terminals that are made here, and the one that a person sits at.

// A new terminal of that size; `fds[0]` is our end (non-blocking), `fds[1]` the program's. 0, or
// -errno.
int iorun_terminal_open(int rows, int columns, int fds[2]);
// Tells the programs on a terminal that its size is another. 0, or -errno.
int iorun_terminal_resize(int fd, int rows, int columns);
// The size of the terminal at `fd`. 0, or -errno.
int iorun_terminal_size(int fd, int *rows, int *columns);
// Makes the terminal at `fd` raw: every key goes to the program. A small process stands by that
// restores it once the caller is gone, however it ended, `kill -9` included. The descriptor to
// close for an orderly end, or -errno.
int iorun_terminal_make_raw(int fd, pid_t *guard);

// network.c: sockets in another network namespace.

// A namespace of a process ("net", "mnt") as a descriptor. 0 and `*fd`, which is -1 where it is the
// caller's own, or -errno.
int iorun_namespace_of(pid_t pid, const char *kind, int *fd);
// Begins a TCP connection to the address `ip` (4 or 16 bytes, network order) in `network` (-1: the
// present one). A non-blocking descriptor that becomes writable once its fate is known, or -errno.
int iorun_tcp_begin_connect(int network, const uint8_t *ip, int ip_length, uint16_t port);
// 0 where the connection was made, else -errno.
int iorun_tcp_connect_result(int fd);
// Listens at an IPv4 or IPv6 address, non-blocking; port 0: any. The descriptor, or -errno;
// `*bound` is the port.
int iorun_local_listen(const char *address, uint16_t port, uint16_t *bound);
// The next connection, non-blocking and close-on-exec, or -errno.
int iorun_local_accept(int listener);
// Closing this connection tells the other side that it broke (RST). 0, or -errno.
int iorun_tcp_abort_on_close(int fd);

// beneath.c: files below a folder, whatever stands there (openat2 with RESOLVE_BENEATH).

// Opens `path` below the folder `root`: no step leaves it, none follows a symbolic link. The
// descriptor (close-on-exec), or -errno.
int iorun_open_beneath(int root, const char *path, int flags, unsigned mode);

// host.c: what the kernel grants to this process.

// How many CPUs this process may run on, at least 1.
int iorun_cpu_count(void);

// netns.c: network namespaces without a name.

// A new network namespace with nothing in it but `lo`, down. It lives as long as the descriptor, a
// process in it, or an interface's socket does. The descriptor (close-on-exec), or -errno.
int iorun_netns_create(void);
// A socket that belongs to that namespace (close-on-exec), or -errno.
int iorun_netns_socket(int space, int domain, int type, int protocol);

// rank_network.c: how a rank's supervisor gets into its gang's network.

// Moves this process, which must have one thread, into the namespace, and into a mount namespace of
// its own in which `folder/hosts` and `folder/resolv.conf`, where they are there, cover those of /etc
// and /sys/class/net shows the namespace's interfaces. 0, or an errno.
int iorun_enter_network(int space, const char *folder);

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
  // A byte of this or more is a signal for the command's process group: the rest is its number.
  iorun_control_signal = 0x80,
};
// Where a supervisor finds its channel (a stream socket), the command's environment (a file of
// NAME=VALUE strings, each followed by a zero byte), and the network namespace to run in, if any.
enum {
  iorun_channel_descriptor = 3,
  iorun_environment_descriptor = 4,
  iorun_network_descriptor = 5,
};
// The whole life of a supervisor, `iorun __supervise GRACE_MS[@FOLDER] COMMAND ARGUMENT...`: call it
// first thing in main with main's own arguments, before any thread is started. With FOLDER it enters
// the network namespace of its descriptor, see iorun_enter_network. Returns the exit status.
int iorun_supervise(int argc, char *const argv[]);

/// Overwrites what follows `prefix` in each of the process's arguments that holds it, where
/// /proc/PID/cmdline shows it. Returns in how many. The program must have its copies before.
int iorun_hide_arguments(const char *prefix);

#endif
