// Work in another network namespace, done by a thread of its own: a thread belongs to one
// namespace, and one that never comes back cannot fail to come back.
#define _GNU_SOURCE
#include "CWanLink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct visit {
  const char *namespace_path;
  int (*work)(const void *argument);
  const void *argument;
  int result;
};

static void *run_visit(void *pointer) {
  struct visit *visit = pointer;
  int space = open(visit->namespace_path, O_RDONLY | O_CLOEXEC);
  if (space < 0) {
    visit->result = -errno;
    return NULL;
  }
  visit->result = setns(space, CLONE_NEWNET) == 0 ? visit->work(visit->argument) : -errno;
  close(space);
  return NULL;
}

static int visit_namespace(const char *namespace_path, int (*work)(const void *),
                           const void *argument) {
  struct visit visit = {namespace_path, work, argument, -EINVAL};
  pthread_t thread;
  int failure = pthread_create(&thread, NULL, run_visit, &visit);
  if (failure != 0) return -failure;
  pthread_join(thread, NULL);
  return visit.result;
}

struct socket_kind {
  int domain, type, protocol;
};

static int make_socket(const void *argument) {
  const struct socket_kind *kind = argument;
  int made = socket(kind->domain, kind->type | SOCK_CLOEXEC, kind->protocol);
  return made < 0 ? -errno : made;
}

int iorun_wanlink_socket(const char *namespace_path, int domain, int type, int protocol) {
  struct socket_kind kind = {domain, type, protocol};
  return visit_namespace(namespace_path, make_socket, &kind);
}

struct tun_kind {
  const char *name, *address, *peer;
  int mtu;
};

static int set_address(int control, struct ifreq *request, unsigned long which, const char *text) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  if (inet_pton(AF_INET, text, &address.sin_addr) != 1) return -EINVAL;
  memcpy(&request->ifr_addr, &address, sizeof address);
  return ioctl(control, which, request) == 0 ? 0 : -errno;
}

static int configure(int control, struct ifreq *request, const struct tun_kind *kind) {
  int failure = set_address(control, request, SIOCSIFADDR, kind->address);
  if (failure == 0) failure = set_address(control, request, SIOCSIFDSTADDR, kind->peer);
  if (failure == 0) failure = set_address(control, request, SIOCSIFNETMASK, "255.255.255.255");
  if (failure != 0) return failure;
  request->ifr_mtu = kind->mtu;
  if (ioctl(control, SIOCSIFMTU, request) != 0) return -errno;
  // The emulator's own queue is the one that counts: the device's must not drop first.
  request->ifr_qlen = 4096;
  if (ioctl(control, SIOCSIFTXQLEN, request) != 0) return -errno;
  if (ioctl(control, SIOCGIFFLAGS, request) != 0) return -errno;
  request->ifr_flags |= IFF_UP | IFF_RUNNING;
  return ioctl(control, SIOCSIFFLAGS, request) == 0 ? 0 : -errno;
}

static int make_tun(const void *argument) {
  const struct tun_kind *kind = argument;
  int device = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (device < 0) return -errno;
  struct ifreq request = {0};
  strncpy(request.ifr_name, kind->name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  int failure = ioctl(device, TUNSETIFF, &request) == 0 ? 0 : -errno;
  int control = failure == 0 ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
  if (failure == 0) failure = control < 0 ? -errno : configure(control, &request, kind);
  if (control >= 0) close(control);
  if (failure == 0) return device;
  close(device);
  return failure;
}

int iorun_wanlink_tun(const char *namespace_path, const char *name, const char *address,
                      const char *peer, int mtu) {
  struct tun_kind kind = {name, address, peer, mtu};
  return visit_namespace(namespace_path, make_tun, &kind);
}
