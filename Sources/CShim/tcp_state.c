#define _GNU_SOURCE
#include "CShim.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

int iorun_tcp_acknowledgement_age(int fd) {
  struct tcp_info info;
  socklen_t length = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0) return -errno;
  if (info.tcpi_state != TCP_ESTABLISHED) return -ENOTCONN;
  return info.tcpi_last_ack_recv > INT_MAX ? INT_MAX : (int)info.tcpi_last_ack_recv;
}
