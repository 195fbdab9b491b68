// Word of the kernel's about every process that begins: the netlink connector's process events
// (Documentation/driver-api/connector.rst, linux/cn_proc.h).
#define _GNU_SOURCE
#include "CSandbox.h"

#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int iorun_proc_events_open(void) {
  int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR);
  if (fd < 0) return -errno;
  // A burst of forks must not be lost while we look at one process; more than the system's limit
  // needs CAP_NET_ADMIN, which the connector needs as well.
  int size = 8 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
  struct nlmsghdr head = {.nlmsg_type = NLMSG_DONE};
  struct cn_msg message = {.id = {.idx = CN_IDX_PROC, .val = CN_VAL_PROC}};
  enum proc_cn_mcast_op operation = PROC_CN_MCAST_LISTEN;
  char order[sizeof head + sizeof message + sizeof operation];
  head.nlmsg_len = sizeof order;
  message.len = sizeof operation;
  memcpy(order, &head, sizeof head);
  memcpy(order + sizeof head, &message, sizeof message);
  memcpy(order + sizeof head + sizeof message, &operation, sizeof operation);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
      send(fd, order, sizeof order, 0) != (ssize_t)sizeof order) {
    int reason = errno;
    close(fd);
    return -reason;
  }
  return fd;
}

// One message of the kernel's, or 0 where it is about something else.
static int understand(const char *bytes, size_t size, struct iorun_proc_event *event) {
  struct nlmsghdr head;
  struct cn_msg message;
  struct proc_event what;
  if (size < sizeof head + sizeof message + offsetof(struct proc_event, event_data) + 16) return 0;
  memcpy(&head, bytes, sizeof head);
  memcpy(&message, bytes + sizeof head, sizeof message);
  if (message.id.idx != CN_IDX_PROC || message.id.val != CN_VAL_PROC) return 0;
  size_t left = size - sizeof head - sizeof message;
  memset(&what, 0, sizeof what);
  memcpy(&what, bytes + sizeof head + sizeof message, left < sizeof what ? left : sizeof what);
  if (what.what == PROC_EVENT_EXEC) {
    event->pid = what.event_data.exec.process_tgid;
    event->is_exec = 1;
    return 1;
  }
  // Not the threads of a process.
  if (what.what == PROC_EVENT_FORK &&
      what.event_data.fork.child_pid == what.event_data.fork.child_tgid) {
    event->pid = what.event_data.fork.child_tgid;
    event->is_exec = 0;
    return 1;
  }
  return 0;
}

int iorun_proc_events_read(int fd, struct iorun_proc_event *events, int count, int timeout_ms) {
  struct pollfd wait = {.fd = fd, .events = POLLIN};
  if (poll(&wait, 1, timeout_ms) < 0) return errno == EINTR ? 0 : -errno;
  int filled = 0;
  while (filled < count) {
    char bytes[512];
    struct sockaddr_nl sender;
    socklen_t length = sizeof sender;
    ssize_t size = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&sender, &length);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) break;
    if (size < 0) return filled > 0 && errno != ENOBUFS ? filled : -errno;
    // Only the kernel has this number: other processes can send to the group as well.
    if (length != sizeof sender || sender.nl_pid != 0) continue;
    filled += understand(bytes, (size_t)size, &events[filled]);
  }
  return filled;
}
