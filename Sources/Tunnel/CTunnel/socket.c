#define _GNU_SOURCE
#include "socket.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

// What a burst of a whole TCP window needs; wireguard-go has the same.
enum { buffer_bytes = 7 << 20 };

static void set_buffer(int socket, int forced, int plain) {
  int bytes = buffer_bytes;
  // The first needs CAP_NET_ADMIN and ignores the machine's limit, to which the second bows.
  if (setsockopt(socket, SOL_SOCKET, forced, &bytes, sizeof bytes) < 0) {
    setsockopt(socket, SOL_SOCKET, plain, &bytes, sizeof bytes);
  }
}

int ct_socket_create(uint16_t port, uint16_t *bound) {
  int family = AF_INET6;
  int udp = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int off = 0, on = 1;
  if (udp >= 0 && setsockopt(udp, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0) {
    close(udp);
    udp = -1;
  }
  if (udp < 0) {  // a kernel without IPv6
    family = AF_INET;
    udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (udp < 0) return -errno;
  }
  set_buffer(udp, SO_RCVBUFFORCE, SO_RCVBUF);
  set_buffer(udp, SO_SNDBUFFORCE, SO_SNDBUF);
  setsockopt(udp, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
  // Routers may cut datagrams up: where one on the way takes fewer bytes than the interface's MTU
  // supposes, and its word of that is lost, nothing large would arrive otherwise. The kernel's
  // WireGuard does the same. IPv6 has no such way.
  int cut = IP_PMTUDISC_DONT;
  setsockopt(udp, IPPROTO_IP, IP_MTU_DISCOVER, &cut, sizeof cut);
  // A full send buffer makes the sender wait, which slows the stack above; not for ever.
  struct timeval patience = {.tv_usec = 100000};
  setsockopt(udp, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);

  struct ct_endpoint any = {.port = port, .is_v6 = family == AF_INET6};
  struct sockaddr_storage address;
  socklen_t length = ct_address_write(&any, family, &address);
  int result = bind(udp, (struct sockaddr *)&address, length) < 0 ? -errno : 0;
  length = sizeof address;
  if (result == 0 && getsockname(udp, (struct sockaddr *)&address, &length) < 0) result = -errno;
  if (result < 0) {
    close(udp);
    return result;
  }
  ct_address_read(&address, &any);
  *bound = any.port;
  return udp;
}

socklen_t ct_address_write(const struct ct_endpoint *endpoint, int family,
                           struct sockaddr_storage *address) {
  if (family == AF_INET) {
    if (endpoint->is_v6) return 0;
    struct sockaddr_in *four = (struct sockaddr_in *)address;
    memset(four, 0, sizeof *four);
    four->sin_family = AF_INET;
    four->sin_port = htons(endpoint->port);
    memcpy(&four->sin_addr, endpoint->address, 4);
    return sizeof *four;
  }
  struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
  memset(six, 0, sizeof *six);
  six->sin6_family = AF_INET6;
  six->sin6_port = htons(endpoint->port);
  if (endpoint->is_v6) {
    memcpy(&six->sin6_addr, endpoint->address, 16);
    six->sin6_scope_id = endpoint->scope;
  } else {
    six->sin6_addr.s6_addr[10] = six->sin6_addr.s6_addr[11] = 0xff;
    memcpy(&six->sin6_addr.s6_addr[12], endpoint->address, 4);
  }
  return sizeof *six;
}

void ct_address_read(const struct sockaddr_storage *address, struct ct_endpoint *endpoint) {
  memset(endpoint, 0, sizeof *endpoint);
  if (address->ss_family == AF_INET) {
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    memcpy(endpoint->address, &four->sin_addr, 4);
    endpoint->port = ntohs(four->sin_port);
    return;
  }
  const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
  endpoint->port = ntohs(six->sin6_port);
  if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
    memcpy(endpoint->address, &six->sin6_addr.s6_addr[12], 4);
    return;
  }
  memcpy(endpoint->address, &six->sin6_addr, 16);
  endpoint->is_v6 = 1;
  endpoint->scope = IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr) ? six->sin6_scope_id : 0;
}
