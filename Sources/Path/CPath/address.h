#ifndef IORUN_CPATH_ADDRESS_H
#define IORUN_CPATH_ADDRESS_H

#include <netinet/in.h>
#include <string.h>

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

#endif
