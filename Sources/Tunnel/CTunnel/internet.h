// Where the fields of IP, TCP and UDP headers stand (RFC 791, 8200, 9293, 768).
#ifndef IORUN_CTUNNEL_INTERNET_H
#define IORUN_CTUNNEL_INTERNET_H

#include <arpa/inet.h>
#include <string.h>

#include "ctunnel.h"

enum {
  ip4_total = 2,
  ip4_id = 4,
  ip4_fragment = 6,
  ip4_ttl = 8,
  ip4_protocol = 9,
  ip4_checksum = 10,
  ip4_source = 12,
  ip4_destination = 16,
  ip6_length = 4,
  ip6_next = 6,
  ip6_source = 8,
  ip6_destination = 24,
  ip6_header = 40,
  tcp_sequence = 4,
  tcp_offset = 12,
  tcp_flags = 13,
  tcp_checksum = 16,
  udp_length = 4,
  udp_checksum = 6,
  protocol_tcp = 6,
  protocol_udp = 17,
  flag_fin = 1,
  flag_psh = 8,
  flag_ack = 16,
  flag_cwr = 128,
  vnet_needs_checksum = 1,
  vnet_tcp4 = 1,
  vnet_tcp6 = 4,
  vnet_udp = 5,
  vnet_ecn = 0x80,
};

static inline uint16_t get16(const uint8_t *bytes) {
  uint16_t value;
  memcpy(&value, bytes, sizeof value);
  return ntohs(value);
}
static inline uint32_t get32(const uint8_t *bytes) {
  uint32_t value;
  memcpy(&value, bytes, sizeof value);
  return ntohl(value);
}
static inline void put16(uint8_t *bytes, uint16_t value) {
  value = htons(value);
  memcpy(bytes, &value, sizeof value);
}
static inline void put32(uint8_t *bytes, uint32_t value) {
  value = htonl(value);
  memcpy(bytes, &value, sizeof value);
}
// Checksums are sums of the bytes as they lie, and stored so.
static inline void put_sum(uint8_t *bytes, uint16_t sum) { memcpy(bytes, &sum, sizeof sum); }

// The sum over the pseudo-header of TCP and UDP, for `length` bytes of them.
static inline uint16_t pseudo_sum(const uint8_t *packet, bool is_v6, uint8_t protocol,
                                  uint32_t length) {
  uint8_t tail[8] = {0};
  put32(tail, length);
  tail[7] = protocol;
  uint16_t sum = is_v6 ? ct_checksum(packet + ip6_source, 32, 0)
                       : ct_checksum(packet + ip4_source, 8, 0);
  return ct_checksum(tail, sizeof tail, sum);
}

#endif
