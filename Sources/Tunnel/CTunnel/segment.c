#include <errno.h>

#include "internet.h"

int ct_segmenter_begin(struct ct_segmenter *segmenter, const struct ct_vnet *vnet,
                       const uint8_t *packet, size_t length) {
  memset(segmenter, 0, sizeof *segmenter);
  segmenter->packet = packet;
  segmenter->length = length;
  segmenter->vnet = *vnet;
  if (length < 20 || length > 65535) return -EINVAL;
  segmenter->is_v6 = packet[0] >> 4 == 6;
  if (segmenter->is_v6 ? length < ip6_header : packet[0] >> 4 != 4) return -EINVAL;
  if (vnet->flags & vnet_needs_checksum &&
      (size_t)vnet->checksum_start + vnet->checksum_offset + 2 > length) {
    return -EINVAL;
  }
  uint8_t type = vnet->gso_type & (uint8_t)~vnet_ecn;
  if (type == 0) return 0;

  if (type != vnet_tcp4 && type != vnet_tcp6 && type != vnet_udp) return -EINVAL;
  segmenter->splits = true;
  segmenter->is_tcp = type != vnet_udp;
  segmenter->ip_header = vnet->checksum_start;
  if (!(vnet->flags & vnet_needs_checksum) || vnet->gso_size == 0) return -EINVAL;
  if (segmenter->is_v6 ? segmenter->ip_header < ip6_header
                       : segmenter->ip_header != (size_t)(packet[0] & 15) * 4) {
    return -EINVAL;
  }
  if (segmenter->ip_header < 20 || length < segmenter->ip_header + 8) return -EINVAL;
  size_t transport = 8;
  if (segmenter->is_tcp) {
    if (length < segmenter->ip_header + 20) return -EINVAL;
    transport = (size_t)(packet[segmenter->ip_header + tcp_offset] >> 4) * 4;
    if (transport < 20) return -EINVAL;
    segmenter->flags = packet[segmenter->ip_header + tcp_flags];
  }
  segmenter->header = segmenter->ip_header + transport;
  segmenter->size = vnet->gso_size;
  return length > segmenter->header ? 0 : -EINVAL;
}

// A packet that goes out as it is, save for its checksum.
static long copy_whole(struct ct_segmenter *segmenter, uint8_t *out, size_t capacity) {
  size_t length = segmenter->length;
  if (segmenter->index++) return 0;
  if (length > capacity) return -ENOBUFS;
  memcpy(out, segmenter->packet, length);
  if (segmenter->vnet.flags & vnet_needs_checksum) {
    size_t start = segmenter->vnet.checksum_start;
    size_t field = start + segmenter->vnet.checksum_offset;
    // The field holds the pseudo-header's sum already. A UDP checksum of 0 would mean none.
    uint16_t sum = (uint16_t)~ct_checksum(out + start, length - start, 0);
    if (sum == 0 && segmenter->vnet.checksum_offset == udp_checksum) sum = 0xffff;
    put_sum(out + field, sum);
  }
  return (long)length;
}

long ct_segmenter_next(struct ct_segmenter *segmenter, uint8_t *out, size_t capacity) {
  if (!segmenter->splits) return copy_whole(segmenter, out, capacity);
  const size_t header = segmenter->header, ip = segmenter->ip_header;
  size_t left = segmenter->length - header - segmenter->position;
  if (left == 0) return 0;
  size_t count = left < segmenter->size ? left : segmenter->size;
  if (header + count > capacity) return -ENOBUFS;

  memcpy(out, segmenter->packet, header);
  memcpy(out + header, segmenter->packet + header + segmenter->position, count);
  size_t length = header + count;
  if (segmenter->is_v6) {
    put16(out + ip6_length, (uint16_t)(length - ip6_header));
  } else {
    put16(out + ip4_total, (uint16_t)length);
    put16(out + ip4_id, (uint16_t)(get16(out + ip4_id) + segmenter->index));
    put16(out + ip4_checksum, 0);
    put_sum(out + ip4_checksum, (uint16_t)~ct_checksum(out, ip, 0));
  }
  uint8_t *transport = out + ip;
  size_t field = segmenter->is_tcp ? tcp_checksum : udp_checksum;
  if (segmenter->is_tcp) {
    put32(transport + tcp_sequence,
          get32(transport + tcp_sequence) + (uint32_t)segmenter->position);
    uint8_t flags = (uint8_t)segmenter->flags;
    if (count < left) flags &= (uint8_t) ~(flag_fin | flag_psh);
    if (segmenter->index) flags &= (uint8_t)~flag_cwr;
    transport[tcp_flags] = flags;
  } else {
    put16(transport + udp_length, (uint16_t)(length - ip));
  }
  put16(transport + field, 0);
  uint16_t sum = pseudo_sum(out, segmenter->is_v6,
                            segmenter->is_tcp ? protocol_tcp : protocol_udp,
                            (uint32_t)(length - ip));
  sum = (uint16_t)~ct_checksum(transport, length - ip, sum);
  if (sum == 0 && !segmenter->is_tcp) sum = 0xffff;
  put_sum(transport + field, sum);
  segmenter->position += count;
  segmenter->index++;
  return (long)length;
}
