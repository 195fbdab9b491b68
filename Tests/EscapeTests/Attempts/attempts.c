// Attempts to get out of a sandbox, or to take more than it gives. It runs inside a full sandbox only,
// and refuses to run anywhere else. Each attempt prints `GROUP NAME blocked` or `GROUP NAME ALLOWED`.
// The groups are those of EscapeTests.swift.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/quota.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void tell(int group, const char *name, int allowed) {
  printf("%d %s %s\n", group, name, allowed ? "ALLOWED" : "blocked");
  fflush(stdout);
}

static const char *setting(const char *name) {
  const char *value = getenv(name);
  return value == NULL ? "" : value;
}

static long number(const char *name) { return strtol(setting(name), NULL, 10); }

static int opens(const char *path, int flags) {
  int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK, 0600);
  if (fd < 0) return 0;
  close(fd);
  return 1;
}

// Whether anything but nothing can be read.
static int reads(const char *path) {
  char byte;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return 0;
  ssize_t count = read(fd, &byte, 1);
  close(fd);
  return count > 0;
}

static int holds(const char *path, const char *text) {
  static char buffer[1 << 16];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t count = read(fd, buffer, sizeof buffer - 1);
  close(fd);
  return count > 0 && memmem(buffer, (size_t)count, text, strlen(text)) != NULL;
}

static int creates(int domain, int type, int protocol) {
  int fd = socket(domain, type | SOCK_CLOEXEC, protocol);
  if (fd < 0) return 0;
  close(fd);
  return 1;
}

static int connects(const char *address, int port) {
  union {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
  } to = {.four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)}};
  socklen_t length = sizeof to.four;
  if (strchr(address, ':') != NULL) {
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    inet_pton(AF_INET6, address, &six.sin6_addr);
    to.six = six;
    length = sizeof to.six;
  } else {
    inet_pton(AF_INET, address, &to.four.sin_addr);
  }
  int fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int result = fd >= 0 && connect(fd, &to.any, length) == 0;
  if (fd >= 0 && !result && errno == EINPROGRESS) {
    // A connection that is still under way has a route, and that is already too much.
    int reason = 0;
    socklen_t size = sizeof reason;
    struct pollfd event = {.fd = fd, .events = POLLOUT};
    // Longer than the kernel looks for a neighbour.
    int told = poll(&event, 1, 5000);
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &size);
    result = told == 0 || reason == 0;
  }
  if (fd >= 0) close(fd);
  return result;
}

static void files_of_the_host(void) {
  char path[512];
  tell(1, "secret", opens(setting("HOST_SECRET"), O_RDONLY));
  snprintf(path, sizeof path, "/proc/1/root%s", setting("HOST_SECRET"));
  tell(1, "secret-through-proc", opens(path, O_RDONLY));
  snprintf(path, sizeof path, "/job/../..%s", setting("HOST_SECRET"));
  tell(1, "secret-by-dots", opens(path, O_RDONLY));
  tell(1, "shadow", opens("/etc/shadow", O_RDONLY));
  tell(2, "environment-of-1", holds("/proc/1/environ", "IORUN_HOST_MARKER"));
  tell(2, "own-environment", holds("/proc/self/environ", "IORUN_HOST_MARKER"));
  tell(2, "command-line-of-1", holds("/proc/1/cmdline", setting("JOB_SECRET")));
  int more = 0;
  for (int fd = 3; fd < 256; fd++) more += fcntl(fd, F_GETFD) >= 0;
  tell(2, "descriptors", more != 0);
}

static void processes_of_the_host(void) {
  pid_t host = (pid_t)number("HOST_PID");
  char byte;
  struct iovec local = {&byte, 1}, remote = {(void *)0x400000, 1};
  tell(3, "kill", kill(host, 0) == 0);
  tell(3, "ptrace", ptrace(PTRACE_ATTACH, host, 0, 0) == 0);
  tell(3, "ptrace-seize-1", ptrace(PTRACE_SEIZE, 1, 0, 0) == 0);
  tell(3, "read-memory", process_vm_readv(host, &local, 1, &remote, 1, 0) > 0);
  tell(3, "read-memory-of-1", process_vm_readv(1, &local, 1, &remote, 1, 0) > 0);
  tell(3, "pidfd", syscall(SYS_pidfd_open, host, 0) >= 0);
  tell(3, "priority", setpriority(PRIO_PROCESS, (id_t)host, 19) == 0);
  // Another task of the same agent, by the id that it has on the machine.
  pid_t other = (pid_t)number("OTHER_TASK_PID");
  if (other == 0) return;
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/environ", (int)other);
  tell(3, "other-task-seen", access(path, F_OK) == 0);
  tell(3, "other-task-environment", reads(path));
  tell(3, "other-task-kill", kill(other, SIGTERM) == 0);
  tell(3, "other-task-ptrace", ptrace(PTRACE_SEIZE, other, 0, 0) == 0);
  tell(3, "other-task-read-memory", process_vm_readv(other, &local, 1, &remote, 1, 0) > 0);
  tell(3, "other-task-pidfd", syscall(SYS_pidfd_open, other, 0) >= 0);
}

static void mounts(void) {
  tell(4, "mount-tmpfs", mount("none", "/tmp", "tmpfs", 0, NULL) == 0);
  tell(4, "mount-proc", mount("proc", "/tmp", "proc", 0, NULL) == 0);
  tell(4, "bind", mount("/proc", "/tmp", NULL, MS_BIND, NULL) == 0);
  tell(4, "remount", mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL) == 0);
  tell(4, "unmount", umount2("/proc", MNT_DETACH) == 0);
  tell(4, "fsopen", syscall(SYS_fsopen, "tmpfs", 0) >= 0);
  tell(4, "open-tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1) >= 0);
  tell(4, "mount-setattr", syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, NULL, 0) == 0);
  tell(4, "pivot-root", syscall(SYS_pivot_root, "/tmp", "/tmp") == 0);
  tell(4, "chroot", chroot("/tmp") == 0);
}

static void namespaces(void) {
  tell(5, "unshare-user", unshare(CLONE_NEWUSER) == 0);
  tell(5, "unshare-mount", unshare(CLONE_NEWNS) == 0);
  tell(5, "unshare-network", unshare(CLONE_NEWNET) == 0);
  long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
  if (child == 0) _exit(0);
  tell(5, "clone-user", child > 0);
  struct clone_args arguments = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
  child = syscall(SYS_clone3, &arguments, sizeof arguments);
  if (child == 0) _exit(0);
  tell(5, "clone3-user", child > 0);
  int fd = open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);
  tell(5, "setns", fd >= 0 && setns(fd, 0) == 0);
  tell(5, "netfilter", creates(AF_NETLINK, SOCK_RAW, 12));
  struct {
    struct file_handle head;
    unsigned char bytes[8];
  } handle = {.head = {.handle_bytes = 8, .handle_type = 1}, .bytes = {2}};
  fd = open("/", O_RDONLY | O_CLOEXEC);
  tell(6, "file-by-handle", open_by_handle_at(fd, &handle.head, O_RDONLY) >= 0);
  int mount_id;
  handle.head.handle_bytes = 8;
  int named = name_to_handle_at(AT_FDCWD, "/", &handle.head, &mount_id, 0) == 0;
  tell(6, "handle-of-file", named || errno == EOVERFLOW);
}

static void devices(void) {
  unlink("/tmp/block");
  int made = mknod("/tmp/block", S_IFBLK | 0600, makedev(254, 0)) == 0;
  tell(7, "block-device", made && opens("/tmp/block", O_RDONLY));
  made = mknod("/job/memory", S_IFCHR | 0600, makedev(1, 1)) == 0;
  tell(7, "memory-device", made && opens("/job/memory", O_RDONLY));
  const char *paths[] = {"/dev/mem", "/dev/kmsg", "/dev/kvm", "/dev/fuse", "/dev/net/tun",
                         "/dev/loop-control", "/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/port",
                         "/dev/vsock", "/dev/hwrng", "/dev/btrfs-control", "/dev/mapper/control"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    tell(7, paths[i], opens(paths[i], O_RDONLY));
  }
}

static void sockets(void) {
  tell(8, "packet", creates(AF_PACKET, SOCK_RAW, 0));
  tell(8, "raw", creates(AF_INET, SOCK_RAW, IPPROTO_ICMP));
  tell(8, "vsock", creates(AF_VSOCK, SOCK_STREAM, 0));
  tell(8, "crypto", creates(AF_ALG, SOCK_SEQPACKET, 0));
  tell(8, "connector", creates(AF_NETLINK, SOCK_DGRAM, 11));
  tell(8, "audit", creates(AF_NETLINK, SOCK_RAW, 9));
  tell(8, "uevents", creates(AF_NETLINK, SOCK_RAW, 15));
  tell(8, "xdp", creates(44, SOCK_RAW, 0));
  tell(8, "bluetooth", creates(AF_BLUETOOTH, SOCK_RAW, 1));
  tell(9, "metadata", connects("169.254.169.254", 80));
  tell(9, "loopback-service", connects("127.0.0.1", (int)number("HOST_PORT")));
  tell(9, "private-address", connects("10.0.0.1", 80));
  tell(9, "public-address", connects("1.1.1.1", 443));
  tell(9, "private-address-6", connects("fd00::1", 80));
  tell(9, "mapped-address-6", connects("::ffff:10.0.0.1", 80));
  if (number("HOST_PORT_6") != 0) {
    tell(9, "loopback-service-6", connects("::1", (int)number("HOST_PORT_6")));
  }
  if (number("HOST_LAN_PORT") != 0) {
    tell(9, "lan-address", connects(setting("HOST_LAN"), (int)number("HOST_LAN_PORT")));
  }
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  int length = snprintf(to.sun_path + 1, sizeof to.sun_path - 1, "%s", setting("HOST_ABSTRACT"));
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  socklen_t size = (socklen_t)(sizeof(sa_family_t) + 1 + (size_t)length);
  tell(9, "abstract-socket", connect(fd, (struct sockaddr *)&to, size) == 0);
  tell(9, "shared-memory", shmget((key_t)number("HOST_SHM"), 0, 0) >= 0);
}

static void calls(void) {
  char attributes[128] = {0};
  tell(10, "bpf", syscall(SYS_bpf, 0, attributes, sizeof attributes) >= 0 || errno != EPERM);
  tell(10, "perf", syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0) >= 0 || errno != EPERM);
  tell(10, "userfaultfd", syscall(SYS_userfaultfd, 1) >= 0);
  tell(10, "io-uring", syscall(SYS_io_uring_setup, 1, attributes) >= 0 || errno != EPERM);
  tell(10, "keyctl", syscall(SYS_keyctl, 0, -3, 1) >= 0);
  tell(10, "add-key", syscall(SYS_add_key, "user", "a", "b", 1, -3) >= 0);
  tell(10, "module", syscall(SYS_init_module, "", 0, "") == 0 || errno != EPERM);
  tell(10, "kexec", syscall(SYS_kexec_load, 0, 0, NULL, 0) == 0 || errno != EPERM);
  tell(10, "fanotify", syscall(SYS_fanotify_init, 0, 0) >= 0);
  tell(10, "kernel-log", klogctl(10, NULL, 0) >= 0);
  // Setting the clock to what it is changes nothing where it is allowed.
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  tell(10, "clock", clock_settime(CLOCK_REALTIME, &now) == 0);
  struct timex timex = {0};
  tell(10, "adjust-clock", adjtimex(&timex) >= 0);
  tell(10, "swap", swapoff("/nowhere") == 0 || errno != EPERM);
  tell(10, "quota", quotactl(QCMD(Q_SYNC, USRQUOTA), NULL, 0, NULL) == 0);
  tell(10, "memfd-secret", syscall(447, 0) >= 0);
#ifdef __x86_64__
  tell(10, "ports", syscall(SYS_iopl, 3) == 0);
  tell(10, "descriptor-table", syscall(SYS_modify_ldt, 0, attributes, 8) >= 0);
#endif
  char name[] = "escaped";
  tell(10, "hostname", sethostname(name, sizeof name - 1) == 0);
}

static void rights(void) {
  tell(11, "setuid", setuid(0) == 0);
  tell(11, "setgid", setgid(0) == 0);
  gid_t root = 0;
  tell(11, "setgroups", setgroups(1, &root) == 0);
  struct sched_param priority = {.sched_priority = 1};
  tell(11, "realtime", sched_setscheduler(0, SCHED_FIFO, &priority) == 0);
  tell(11, "nice", setpriority(PRIO_PROCESS, 0, -20) == 0);
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_max += 1;
  tell(11, "raise-limit", setrlimit(RLIMIT_NOFILE, &limit) == 0);
  struct statvfs job;
  tell(11, "setuid-files", statvfs("/job", &job) != 0 || !(job.f_flag & ST_NOSUID));
  tell(11, "device-files", statvfs("/job", &job) != 0 || !(job.f_flag & ST_NODEV));
  int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  tell(11, "oom-score", fd >= 0 && write(fd, "-1000", 5) == 5);
}

static void kernel_files(void) {
  const char *written[] = {"/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger",
                           "/proc/sys/net/ipv4/ip_forward", "/proc/sys/vm/drop_caches",
                           "/proc/sys/kernel/modprobe", "/sys/kernel/uevent_helper",
                           "/proc/sys/fs/binfmt_misc/register", "/proc/irq/default_smp_affinity"};
  for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
    tell(12, written[i], opens(written[i], O_WRONLY));
  }
  const char *read_paths[] = {"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/kallsyms",
                              "/proc/kmsg", "/proc/kpageflags", "/proc/slabinfo",
                              "/sys/firmware/dmi/tables/DMI", "/sys/kernel/security",
                              "/sys/kernel/debug/tracing"};
  for (size_t i = 0; i < sizeof read_paths / sizeof *read_paths; i++) {
    tell(12, read_paths[i], reads(read_paths[i]));
  }
  tell(13, "release-agent", opens("/sys/fs/cgroup/memory/release_agent", O_WRONLY));
  tell(13, "own-limit", opens("/sys/fs/cgroup/memory/memory.limit_in_bytes", O_WRONLY) ||
                            opens("/sys/fs/cgroup/memory.max", O_WRONLY));
  tell(13, "group-tree", access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0 ||
                             access("/sys/fs/cgroup/memory", F_OK) == 0);
  tell(13, "group-name", holds("/proc/self/cgroup", setting("HOST_GROUP")));
  tell(13, "mount-groups", mount("none", "/tmp", "cgroup", 0, "memory") == 0 ||
                               mount("none", "/tmp", "cgroup2", 0, NULL) == 0);
  tell(14, "runtime-binary", opens("/proc/1/exe", O_WRONLY));
  tell(14, "own-binary", opens("/proc/self/exe", O_WRONLY));
  int outside = 0;
  for (int fd = 0; fd < 64; fd++) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d/../../../../etc/shadow", fd);
    outside += opens(path, O_RDONLY);
  }
  tell(14, "leaked-folder", outside != 0);
}

static void terminal(void) {
  char byte = '\n';
  tell(15, "type-into-terminal", ioctl(0, TIOCSTI, &byte) == 0);
  tell(15, "type-with-high-bits", syscall(SYS_ioctl, 0, 0x100005412UL, &byte) == 0);
  int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
  tell(15, "own-terminal", fd >= 0);
  tell(15, "console", opens("/dev/tty1", O_RDWR) || opens("/dev/vcs1", O_RDONLY));
}

static void fork_bomb(void) {
  int limit = (int)number("LIMIT_PROCESSES");
  int made = 0;
  pid_t children[4096];
  while (made < 4096) {
    pid_t child = fork();
    if (child < 0) break;
    if (child == 0) {
      pause();
      _exit(0);
    }
    children[made++] = child;
  }
  for (int i = 0; i < made; i++) kill(children[i], SIGKILL);
  for (int i = 0; i < made; i++) waitpid(children[i], NULL, 0);
  tell(16, "fork-bomb", made > limit);
  pid_t child = fork();
  if (child == 0) _exit(0);
  if (child > 0) waitpid(child, NULL, 0);
  tell(16, "no-recovery", child < 0);
}

static void memory_hog(void) {
  pid_t child = fork();
  if (child == 0) {
    size_t step = 1 << 20;
    for (long taken = 0; taken < 4 * number("LIMIT_MEMORY"); taken += (long)step) {
      char *block = mmap(NULL, step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (block == MAP_FAILED) _exit(1);
      memset(block, 1, step);
    }
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  tell(17, "memory", child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void disk_fill(const char *name, const char *path, long limit) {
  static char block[1 << 16];
  memset(block, 1, sizeof block);
  signal(SIGXFSZ, SIG_IGN);
  int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  long written = 0;
  ssize_t count = 1;
  while (fd >= 0 && written <= limit && (count = write(fd, block, sizeof block)) > 0) {
    written += count;
  }
  if (fd >= 0) close(fd);
  unlink(path);
  tell(18, name, written > limit);
}

static void traps(void) {
  // What an agent that collects outputs would meet; EscapeTests opens them from the host.
  symlink("/etc/shadow", "/job/link");
  symlink("/", "/job/folder");
  symlink("/proc/self/root", "/job/magic");
  tell(19, "device", mknod("/job/device", S_IFCHR | 0600, makedev(1, 3)) == 0);
  tell(19, "hard-link", link("/proc/self/exe", "/job/hard") == 0);
  tell(19, "setuid-root", chown("/job/link", 0, 0) == 0);
}

static void orphan(void) {
  pid_t child = fork();
  if (child == 0) {
    setsid();
    if (fork() == 0) {
      for (int fd = 0; fd < 3; fd++) close(fd);
      signal(SIGTERM, SIG_IGN);
      signal(SIGHUP, SIG_IGN);
      for (;;) pause();
    }
    _exit(0);
  }
  waitpid(child, NULL, 0);
  // Whether it is left when the sandbox has ended the test sees from the host.
  tell(20, "started-by-root", getuid() == 0);
}

int main(int count, char **arguments) {
  (void)arguments;
  // Outside of a sandbox some of these would do harm.
  if ((getuid() != 1000 && getuid() < 100000) || getpid() > 20 || setting("HOST_SECRET")[0] == 0) {
    fprintf(stderr, "run inside a sandbox only\n");
    return 64;
  }
  // The other task, which only has to be there.
  if (count > 1) {
    printf("here\n");
    fflush(stdout);
    for (;;) pause();
  }
  files_of_the_host();
  processes_of_the_host();
  mounts();
  namespaces();
  devices();
  sockets();
  calls();
  rights();
  kernel_files();
  terminal();
  fork_bomb();
  disk_fill("tmp", "/tmp/fill", number("LIMIT_TMP"));
  disk_fill("shm", "/dev/shm/fill", number("LIMIT_SHM"));
  disk_fill("job", "/job/fill", number("LIMIT_JOB"));
  disk_fill("root", "/fill", number("LIMIT_JOB"));
  memory_hog();
  traps();
  orphan();
  printf("done\n");
  return 0;
}
