#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctunnel.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static void add_attribute(struct nlmsghdr *message, uint16_t type, const void *bytes,
                          uint16_t count) {
  struct rtattr *attribute =
      (struct rtattr *)((uint8_t *)message + NLMSG_ALIGN(message->nlmsg_len));
  attribute->rta_type = type;
  attribute->rta_len = (uint16_t)RTA_LENGTH(count);
  memcpy(RTA_DATA(attribute), bytes, count);
  message->nlmsg_len = NLMSG_ALIGN(message->nlmsg_len) + RTA_ALIGN(attribute->rta_len);
}

static int add_address(int netlink, unsigned index, const struct ct_interface_address *address) {
  struct {
    struct nlmsghdr header;
    struct ifaddrmsg body;
    uint8_t attributes[64];
  } request;
  memset(&request, 0, sizeof request);
  request.header.nlmsg_len = NLMSG_LENGTH(sizeof request.body);
  request.header.nlmsg_type = RTM_NEWADDR;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
  request.body.ifa_family = address->is_v6 ? AF_INET6 : AF_INET;
  request.body.ifa_prefixlen = address->length;
  // No other machine on the interface could have the address: it is usable at once.
  request.body.ifa_flags = address->is_v6 ? IFA_F_NODAD : 0;
  request.body.ifa_index = index;
  uint16_t count = address->is_v6 ? 16 : 4;
  add_attribute(&request.header, IFA_LOCAL, address->address, count);
  add_attribute(&request.header, IFA_ADDRESS, address->address, count);
  if (send(netlink, &request, request.header.nlmsg_len, 0) < 0) return -errno;

  struct {
    struct nlmsghdr header;
    struct nlmsgerr error;
    uint8_t rest[1024];
  } answer;
  ssize_t got = recv(netlink, &answer, sizeof answer, 0);
  if (got < 0) return -errno;
  if ((size_t)got < sizeof answer.header + sizeof answer.error.error ||
      answer.header.nlmsg_type != NLMSG_ERROR) {
    return -EPROTO;
  }
  return answer.error.error;
}

static int configure(const char *name, const struct ct_tun_options *options) {
  int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (control < 0) return -errno;
  int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  int result = netlink < 0 ? -errno : 0;
  struct ifreq request;
  memset(&request, 0, sizeof request);
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  request.ifr_mtu = options->mtu;
  if (result == 0 && ioctl(control, SIOCSIFMTU, &request) < 0) result = -errno;
  unsigned index = 0;
  if (result == 0 && ioctl(control, SIOCGIFINDEX, &request) < 0) result = -errno;
  if (result == 0) index = (unsigned)request.ifr_ifindex;
  for (size_t at = 0; result == 0 && at < options->address_count; at++) {
    result = add_address(netlink, index, &options->addresses[at]);
  }
  if (result == 0 && ioctl(control, SIOCGIFFLAGS, &request) < 0) result = -errno;
  request.ifr_flags |= IFF_UP | IFF_RUNNING;
  if (result == 0 && ioctl(control, SIOCSIFFLAGS, &request) < 0) result = -errno;
  if (netlink >= 0) close(netlink);
  close(control);
  return result;
}

static int create(const struct ct_tun_options *options) {
  int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (tun < 0) return -errno;
  struct ifreq request;
  memset(&request, 0, sizeof request);
  strncpy(request.ifr_name, options->name, IFNAMSIZ - 1);
  request.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL);
  int result = ioctl(tun, TUNSETIFF, &request) < 0 ? -errno : 0;
  // Before the interface is up: what it can do must not change under the stack.
  if (result == 0) result = ct_tun_prepare(tun, NULL);
  if (result == 0) result = configure(request.ifr_name, options);
  if (result == 0) return tun;
  close(tun);
  return result;
}

struct job {
  const struct ct_tun_options *options;
  int result;
};

static void *run_in_namespace(void *argument) {
  struct job *job = argument;
  job->result = setns(job->options->namespace_fd, CLONE_NEWNET) < 0 ? -errno : create(job->options);
  return NULL;
}

int ct_tun_create(const struct ct_tun_options *options) {
  if (options->namespace_fd < 0) return create(options);
  // A thread cannot be trusted to find its way back to its namespace: this one ends in it.
  struct job job = {.options = options};
  pthread_t thread;
  int failure = pthread_create(&thread, NULL, run_in_namespace, &job);
  if (failure) return -failure;
  pthread_join(thread, NULL);
  return job.result;
}

int ct_tun_prepare(int tun, char name[16]) {
  struct ifreq request;
  memset(&request, 0, sizeof request);
  if (ioctl(tun, TUNGETIFF, &request) < 0) return -errno;
  if (!(request.ifr_flags & IFF_VNET_HDR) || !(request.ifr_flags & IFF_NO_PI) ||
      !(request.ifr_flags & IFF_TUN)) {
    return -EINVAL;
  }
  if (name) {
    memcpy(name, request.ifr_name, 16);
    name[15] = 0;
  }
  int header = sizeof(struct ct_vnet);
  if (ioctl(tun, TUNSETVNETHDRSZ, &header) < 0) return -errno;
  unsigned offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
  // Kernels before 6.2 have no segmentation of UDP here.
  if (ioctl(tun, TUNSETOFFLOAD, offloads | TUN_F_USO4 | TUN_F_USO6) < 0 &&
      ioctl(tun, TUNSETOFFLOAD, offloads) < 0) {
    return -errno;
  }
  int flags = fcntl(tun, F_GETFL);
  if (flags < 0 || fcntl(tun, F_SETFL, flags | O_NONBLOCK) < 0) return -errno;
  return 0;
}
