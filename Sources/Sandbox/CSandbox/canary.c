// A canary: runs where a stranger's program will run and says what it finds. It tries only what
// harms nobody if it succeeds.
#define _GNU_SOURCE
#include "CSandbox.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *name, int holds, const char *reason) {
  if (holds) {
    printf("%s ok\n", name);
  } else {
    printf("%s bad %s\n", name, reason);
  }
  fflush(stdout);
}

// The value of a line of /proc/self/status, as hexadecimal; ~0 where it is not there.
static unsigned long long status_line(const char *name) {
  unsigned long long value = ~0ULL;
  FILE *file = fopen("/proc/self/status", "re");
  if (file == NULL) return value;
  char line[256];
  size_t length = strlen(name);
  while (fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, name, length) == 0 && line[length] == ':') {
      value = strtoull(line + length + 1, NULL, 16);
    }
  }
  fclose(file);
  return value;
}

static void look_at_rights(void) {
  char text[64];
  snprintf(text, sizeof text, "user %u, group %u", getuid(), getgid());
  // 1000 of a user namespace, or one of the host's that is the sandbox's alone.
  int is_own = getuid() == 1000 || getuid() >= 100000;
  say("user", is_own && geteuid() == getuid() && getgid() == getuid(), text);
  say("capabilities",
      status_line("CapEff") == 0 && status_line("CapPrm") == 0 && status_line("CapBnd") == 0 &&
          status_line("CapAmb") == 0,
      "some are left");
  say("no-new-privileges", status_line("NoNewPrivs") == 1, "not set");
}

static void look_at_seccomp(void) {
  say("seccomp", status_line("Seccomp") == 2, "no filter");
  errno = 0;
  say("seccomp-namespaces", unshare(CLONE_NEWUSER) < 0 && errno == EPERM, strerror(errno));
  errno = 0;
  int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
  say("seccomp-sockets", fd < 0 && errno == EPERM, "AF_VSOCK can be opened");
  errno = 0;
  say("seccomp-clone3", syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS, strerror(errno));
}

static void look_at_network(int port) {
  FILE *file = fopen("/proc/net/dev", "re");
  int others = file == NULL ? 1 : 0;
  char line[512];
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    char *colon = strchr(line, ':');
    if (colon == NULL) continue;
    *colon = 0;
    char *name = line + strspn(line, " ");
    others += strcmp(name, "lo") != 0;
  }
  if (file != NULL) fclose(file);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in host = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int reached = fd >= 0 && connect(fd, (struct sockaddr *)&host, sizeof host) == 0;
  if (fd >= 0) close(fd);
  say("network", others == 0 && !reached, reached ? "the host answers" : "other interfaces");
}

static void look_at_files(const char *secret) {
  int fd = open(secret, O_RDONLY | O_CLOEXEC);
  say("host-files", fd < 0, "a file of the host can be read");
  fd = open("/iorun-canary", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  say("root-read-only", fd < 0, "a file can be made in /");
  DIR *folder = opendir("/proc/self/fd");
  int more = folder == NULL ? 1 : 0;
  struct dirent *entry;
  while (folder != NULL && (entry = readdir(folder)) != NULL) {
    if (entry->d_name[0] == '.') continue;
    int number = atoi(entry->d_name);
    more += number > 2 && number != dirfd(folder);
  }
  if (folder != NULL) closedir(folder);
  say("descriptors", more == 0, "more than three are open");
}

static void look_at_size(unsigned long long limit) {
  int fd = open("/tmp/iorun-canary", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0) {
    say("tmp-size", 0, strerror(errno));
    return;
  }
  static char block[1 << 16];
  memset(block, 1, sizeof block);
  unsigned long long written = 0;
  ssize_t count = 0;
  // A signal for too large a file would end the canary.
  signal(SIGXFSZ, SIG_IGN);
  while (written <= limit && (count = write(fd, block, sizeof block)) > 0) {
    written += (unsigned long long)count;
  }
  close(fd);
  unlink("/tmp/iorun-canary");
  say("tmp-size", count <= 0 && written <= limit, "more than its size was written");
}

static void look_at_processes(int limit) {
  say("processes", getpid() < 20, "shares the host's process ids");
  int made = 0;
  pid_t *children = calloc((size_t)limit + 1, sizeof *children);
  while (children != NULL && made <= limit) {
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
  free(children);
  say("process-limit", made > 0 && made <= limit, made > 0 ? "more processes than allowed" : "none");
}

static int take_memory(void) {
  size_t step = 1 << 20;
  for (;;) {
    char *block = mmap(NULL, step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) return 3;
    memset(block, 1, step);
  }
}

int iorun_canary(int argc, char *const argv[]) {
  if (argc >= 3 && strcmp(argv[2], "memory") == 0) return take_memory();
  if (argc < 7 || strcmp(argv[2], "look") != 0) {
    fprintf(stderr, "iorun __canary is started by a node's agent, not by hand\n");
    return 64;
  }
  look_at_rights();
  look_at_seccomp();
  look_at_network(atoi(argv[4]));
  look_at_files(argv[3]);
  look_at_size(strtoull(argv[6], NULL, 10));
  look_at_processes(atoi(argv[5]));
  printf("done ok\n");
  return 0;
}
