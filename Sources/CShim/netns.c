#define _GNU_SOURCE
#include "CShim.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

// Network namespaces belong to threads. All work in another one is done by a thread of its own that
// ends with it: a thread that never comes back cannot forget to come back.
struct visit {
  int space, domain, type, protocol;
  int result;
};

static void *run_create(void *pointer) {
  struct visit *visit = pointer;
  if (unshare(CLONE_NEWNET) < 0) {
    visit->result = -errno;
    return NULL;
  }
  visit->result = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (visit->result < 0) visit->result = -errno;
  return NULL;
}

static void *run_socket(void *pointer) {
  struct visit *visit = pointer;
  if (setns(visit->space, CLONE_NEWNET) < 0) {
    visit->result = -errno;
    return NULL;
  }
  visit->result = socket(visit->domain, visit->type | SOCK_CLOEXEC, visit->protocol);
  if (visit->result < 0) visit->result = -errno;
  return NULL;
}

static int run(void *(*work)(void *), struct visit *visit) {
  pthread_t thread;
  int failure = pthread_create(&thread, NULL, work, visit);
  if (failure != 0) return -failure;
  pthread_join(thread, NULL);
  return visit->result;
}

int iorun_netns_create(void) {
  struct visit visit = {.space = -1};
  return run(run_create, &visit);
}

int iorun_netns_socket(int space, int domain, int type, int protocol) {
  struct visit visit = {.space = space, .domain = domain, .type = type, .protocol = protocol};
  return run(run_socket, &visit);
}
