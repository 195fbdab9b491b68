#ifndef IORUN_CPATH_ADDRESS_H
#define IORUN_CPATH_ADDRESS_H

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "CPath.h"

// As the kernel writes it: on an IPv6 socket IPv4 addresses are mapped ones.
static inline socklen_t to_kernel(const struct iorun_path_address *address, int family,
                                  struct sockaddr_storage *out) {
  memset(out, 0, sizeof *out);
  if (family == AF_INET) {
    struct sockaddr_in *four = (struct sockaddr_in *)out;
    if (address->length != 4) return 0;
    four->sin_family = AF_INET;
    four->sin_port = htons(address->port);
    memcpy(&four->sin_addr, address->bytes, 4);
    return sizeof *four;
  }
  struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
  six->sin6_family = AF_INET6;
  six->sin6_port = htons(address->port);
  if (address->length == 4) {
    six->sin6_addr.s6_addr[10] = six->sin6_addr.s6_addr[11] = 0xFF;
    memcpy(six->sin6_addr.s6_addr + 12, address->bytes, 4);
  } else {
    memcpy(&six->sin6_addr, address->bytes, 16);
  }
  return sizeof *six;
}

static inline void from_kernel(const struct sockaddr_storage *in, struct iorun_path_address *out) {
  memset(out, 0, sizeof *out);
  if (in->ss_family == AF_INET) {
    const struct sockaddr_in *four = (const struct sockaddr_in *)in;
    out->length = 4;
    out->port = ntohs(four->sin_port);
    memcpy(out->bytes, &four->sin_addr, 4);
    return;
  }
  const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)in;
  out->port = ntohs(six->sin6_port);
  if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
    out->length = 4;
    memcpy(out->bytes, six->sin6_addr.s6_addr + 12, 4);
  } else {
    out->length = 16;
    memcpy(out->bytes, &six->sin6_addr, 16);
  }
}

static inline int same_address(const struct iorun_path_address *one,
                               const struct iorun_path_address *other) {
  return one->length == other->length && one->port == other->port &&
         memcmp(one->bytes, other->bytes, one->length) == 0;
}

// Room for one number, and for the address of this machine that a datagram came to or goes from.
struct control_space {
  union {
    char bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct in6_pktinfo))];
    struct cmsghdr align;
  };
};

// The address of this machine that a datagram came to; length 0 where the kernel does not say.
static inline void local_address(struct msghdr *message, struct iorun_path_address *out) {
  out->length = 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
       header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
      struct in6_pktinfo info;
      memcpy(&info, CMSG_DATA(header), sizeof info);
      struct sockaddr_storage place = {.ss_family = AF_INET6};
      ((struct sockaddr_in6 *)&place)->sin6_addr = info.ipi6_addr;
      from_kernel(&place, out);
    } else if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
      struct in_pktinfo info;
      memcpy(&info, CMSG_DATA(header), sizeof info);
      out->length = 4;
      memcpy(out->bytes, &info.ipi_addr, 4);
    }
  }
}

// Lets a datagram go from `source`, which an answer must do on a machine with several addresses: NATs
// and firewalls let in only what comes from where something was sent. Appends to the controls.
static inline void put_source(struct msghdr *message, struct control_space *controls,
                              const struct iorun_path_address *source, int family) {
  if (!source || source->length == 0) return;
  size_t used = message->msg_controllen;
  struct cmsghdr *header = (struct cmsghdr *)(controls->bytes + used);
  message->msg_control = controls->bytes;
  if (family == AF_INET) {
    struct in_pktinfo info = {0};
    memcpy(&info.ipi_spec_dst, source->bytes, 4);
    header->cmsg_level = IPPROTO_IP;
    header->cmsg_type = IP_PKTINFO;
    header->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(header), &info, sizeof info);
    message->msg_controllen = used + CMSG_SPACE(sizeof info);
    return;
  }
  struct sockaddr_storage place;
  to_kernel(source, family, &place);
  struct in6_pktinfo info = {.ipi6_addr = ((struct sockaddr_in6 *)&place)->sin6_addr};
  header->cmsg_level = IPPROTO_IPV6;
  header->cmsg_type = IPV6_PKTINFO;
  header->cmsg_len = CMSG_LEN(sizeof info);
  memcpy(CMSG_DATA(header), &info, sizeof info);
  message->msg_controllen = used + CMSG_SPACE(sizeof info);
}

#endif
