#define _GNU_SOURCE
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

static int family_of(int fd) {
  int family = AF_INET;
  socklen_t length = sizeof family;
  getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length);
  return family;
}

int iorun_udp_open(const struct iorun_path_address *address, uint16_t port, int with_gro) {
  int family = address && address->length == 4 ? AF_INET : AF_INET6;
  int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 && errno == EAFNOSUPPORT && !address) {
    family = AF_INET;
    fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  }
  if (fd < 0) return -errno;
  int off = 0, on = 1, room = 7 << 20;
  if (family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) < 0)
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  if (with_gro) setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
  struct iorun_path_address any = {.length = family == AF_INET ? 4 : 16, .port = port};
  if (address) any = *address, any.port = port;
  struct sockaddr_storage place;
  socklen_t length = to_kernel(&any, family, &place);
  if (bind(fd, (struct sockaddr *)&place, length) < 0) {
    int failure = errno;
    close(fd);
    return -failure;
  }
  return fd;
}

int iorun_udp_port(int fd) {
  struct sockaddr_storage place;
  socklen_t length = sizeof place;
  if (getsockname(fd, (struct sockaddr *)&place, &length) < 0) return -errno;
  struct iorun_path_address address;
  from_kernel(&place, &address);
  return address.port;
}

void iorun_udp_tell_local(int fd) {
  int on = 1;
  if (family_of(fd) == AF_INET6)
    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
  else
    setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
}

ssize_t iorun_udp_send(int fd, const struct iorun_path_address *to, const void *bytes, size_t count,
                       int ttl) {
  return iorun_udp_send_from(fd, NULL, to, bytes, count, ttl);
}

ssize_t iorun_udp_send_from(int fd, const struct iorun_path_address *source,
                            const struct iorun_path_address *to, const void *bytes, size_t count,
                            int ttl) {
  struct sockaddr_storage place;
  int family = family_of(fd);
  socklen_t length = to_kernel(to, family, &place);
  if (!length) return -EAFNOSUPPORT;
  struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
  struct msghdr message = {
      .msg_name = &place, .msg_namelen = length, .msg_iov = &part, .msg_iovlen = 1};
  struct control_space control = {0};
  if (ttl > 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    // A mapped IPv4 address takes IPv4's option, on an IPv6 socket, too.
    header->cmsg_level = to->length == 4 ? IPPROTO_IP : IPPROTO_IPV6;
    header->cmsg_type = to->length == 4 ? IP_TTL : IPV6_HOPLIMIT;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &ttl, sizeof ttl);
  }
  put_source(&message, &control, source, family);
  ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
  // An earlier datagram's ICMP answer is reported here, and is not about this one.
  if (sent < 0 && (errno == ECONNREFUSED || errno == EHOSTUNREACH || errno == ENETUNREACH))
    sent = sendmsg(fd, &message, MSG_NOSIGNAL);
  return sent < 0 ? -errno : sent;
}

ssize_t iorun_udp_receive(int fd, struct iorun_path_address *from, void *bytes, size_t room) {
  struct iorun_path_address local;
  return iorun_udp_receive_at(fd, from, &local, bytes, room);
}

ssize_t iorun_udp_receive_at(int fd, struct iorun_path_address *from,
                             struct iorun_path_address *local, void *bytes, size_t room) {
  struct sockaddr_storage place;
  struct control_space control;
  struct iovec part = {.iov_base = bytes, .iov_len = room};
  struct msghdr message = {.msg_name = &place,
                           .msg_namelen = sizeof place,
                           .msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof control.bytes};
  ssize_t count = recvmsg(fd, &message, 0);
  if (count < 0) return -errno;
  from_kernel(&place, from);
  local_address(&message, local);
  return count;
}

int iorun_udp_probe_mtu(int fd, int on) {
  int four = on ? IP_PMTUDISC_PROBE : IP_PMTUDISC_WANT;
  int six = on ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_WANT;
  if (family_of(fd) == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &six, sizeof six);
  return setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &four, sizeof four) < 0 ? -errno : 0;
}

int iorun_udp_source(const struct iorun_path_address *to, struct iorun_path_address *source) {
  int family = to->length == 4 ? AF_INET : AF_INET6;
  int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  struct sockaddr_storage place;
  socklen_t length = to_kernel(to, family, &place);
  int result = connect(fd, (struct sockaddr *)&place, length);
  length = sizeof place;
  if (result == 0) result = getsockname(fd, (struct sockaddr *)&place, &length);
  result = result < 0 ? -errno : 0;
  if (result == 0) from_kernel(&place, source);
  close(fd);
  return result;
}
