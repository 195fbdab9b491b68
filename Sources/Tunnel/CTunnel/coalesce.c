// What the kernel's GRO does, one floor below it: consecutive packets of a stream become one, so
// that the kernel's stack is walked once for dozens of them. Same rules as its tcp_gro_receive.
#include "internet.h"

// What of a packet matters here.
struct parsed {
  uint32_t ip_header, header, payload, sequence;
  bool is_v6;
  bool is_tcp;
  bool merges;  // could be a part of a larger packet
};

static struct parsed parse(const uint8_t *packet, size_t length) {
  struct parsed parsed = {.is_v6 = packet[0] >> 4 == 6};
  if (parsed.is_v6) {
    if (length < ip6_header + 20 || packet[ip6_next] != protocol_tcp) return parsed;
    if (get16(packet + ip6_length) + (size_t)ip6_header != length) return parsed;
    parsed.ip_header = ip6_header;
  } else {
    if (length < 40 || packet[0] != 0x45 || packet[ip4_protocol] != protocol_tcp) return parsed;
    // Fragments have no ports of their own.
    if (get16(packet + ip4_total) != length || get16(packet + ip4_fragment) & 0x3fff) {
      return parsed;
    }
    parsed.ip_header = 20;
  }
  const uint8_t *tcp = packet + parsed.ip_header;
  uint32_t offset = (uint32_t)(tcp[tcp_offset] >> 4) * 4;
  if (offset < 20 || parsed.ip_header + offset > length) return parsed;
  parsed.is_tcp = true;
  parsed.header = parsed.ip_header + offset;
  parsed.payload = (uint32_t)length - parsed.header;
  parsed.sequence = get32(tcp + tcp_sequence);
  bool is_plain = (tcp[tcp_flags] & ~flag_psh) == flag_ack && !(tcp[tcp_offset] & 1);
  bool is_whole = parsed.is_v6 || get16(packet + ip4_fragment) & 0x4000;
  if (parsed.payload == 0 || !is_plain || !is_whole) return parsed;
  // A merged packet's checksum is made anew, so a wrong one must not get that far.
  uint32_t segment = (uint32_t)length - parsed.ip_header;
  uint16_t sum = pseudo_sum(packet, parsed.is_v6, protocol_tcp, segment);
  parsed.merges = ct_checksum(tcp, segment, sum) == 0xffff;
  if (!parsed.is_v6 && ct_checksum(packet, 20, 0) != 0xffff) parsed.merges = false;
  return parsed;
}

static bool same_stream(const struct ct_flow *flow, const uint8_t *packet,
                        const struct parsed *parsed) {
  if (flow->is_v6 != parsed->is_v6) return false;
  size_t at = parsed->is_v6 ? ip6_source : ip4_source;
  size_t addresses = parsed->is_v6 ? 32 : 8;
  return memcmp(flow->first + at, packet + at, addresses) == 0 &&
         memcmp(flow->first + flow->ip_header, packet + parsed->ip_header, 4) == 0;
}

static bool continues(const struct ct_flow *flow, const uint8_t *packet,
                      const struct parsed *parsed) {
  if (flow->is_closed || flow->header != parsed->header || parsed->payload > flow->size ||
      parsed->sequence != flow->next_sequence || flow->count >= ct_flow_pieces ||
      flow->header + flow->payload + parsed->payload > 65535) {
    return false;
  }
  const uint8_t *first = flow->first;
  bool same_ip = flow->is_v6 ? memcmp(first, packet, 4) == 0 && first[7] == packet[7]
                             : first[1] == packet[1] && first[ip4_ttl] == packet[ip4_ttl];
  // Acknowledgement, offset, flags but PSH, window; then the options.
  const uint8_t *one = first + flow->ip_header, *other = packet + parsed->ip_header;
  return same_ip && memcmp(one + 8, other + 8, 5) == 0 &&
         (one[tcp_flags] | flag_psh) == (other[tcp_flags] | flag_psh) &&
         memcmp(one + 14, other + 14, 2) == 0 &&
         memcmp(one + 20, other + 20, flow->header - flow->ip_header - 20) == 0;
}

static void write_flow(struct ct_coalescer *coalescer, struct ct_flow *flow) {
  if (flow->count > 2) {
    uint32_t length = flow->header + flow->payload;
    uint8_t *packet = flow->first;
    if (flow->is_v6) {
      put16(packet + ip6_length, (uint16_t)(length - ip6_header));
    } else {
      put16(packet + ip4_total, (uint16_t)length);
      put16(packet + ip4_checksum, 0);
      put_sum(packet + ip4_checksum, (uint16_t)~ct_checksum(packet, 20, 0));
    }
    put_sum(packet + flow->ip_header + tcp_checksum,
            pseudo_sum(packet, flow->is_v6, protocol_tcp, length - flow->ip_header));
    flow->vnet = (struct ct_vnet){
        .flags = vnet_needs_checksum,
        .gso_type = flow->is_v6 ? vnet_tcp6 : vnet_tcp4,
        .header_length = (uint16_t)flow->header,
        .gso_size = (uint16_t)flow->size,
        .checksum_start = (uint16_t)flow->ip_header,
        .checksum_offset = tcp_checksum,
    };
  }
  coalescer->write(coalescer->context, flow->pieces, flow->count);
  flow->count = 0;
}

static void write_one(struct ct_coalescer *coalescer, uint8_t *packet, size_t length) {
  struct ct_vnet vnet = {0};
  struct iovec pieces[2] = {{&vnet, sizeof vnet}, {packet, length}};
  coalescer->write(coalescer->context, pieces, 2);
}

void ct_coalescer_add(struct ct_coalescer *coalescer, uint8_t *packet, size_t length) {
  struct parsed parsed = parse(packet, length);
  if (!parsed.is_tcp) {
    write_one(coalescer, packet, length);
    return;
  }
  struct ct_flow *free_flow = NULL;
  for (int index = 0; index < ct_flow_count; index++) {
    struct ct_flow *flow = &coalescer->flows[index];
    if (flow->count == 0) {
      free_flow = flow;
      continue;
    }
    if (!same_stream(flow, packet, &parsed)) continue;
    if (parsed.merges && continues(flow, packet, &parsed)) {
      flow->pieces[flow->count++] = (struct iovec){packet + parsed.header, parsed.payload};
      flow->payload += parsed.payload;
      flow->next_sequence += parsed.payload;
      uint8_t psh = packet[parsed.ip_header + tcp_flags] & flag_psh;
      flow->first[flow->ip_header + tcp_flags] |= psh;
      flow->is_closed = psh || parsed.payload < flow->size;
      return;
    }
    write_flow(coalescer, flow);  // what came first goes first
    free_flow = flow;
    break;
  }
  if (!parsed.merges) {
    write_one(coalescer, packet, length);
    return;
  }
  if (!free_flow) {
    free_flow = &coalescer->flows[coalescer->next_victim++ % ct_flow_count];
    write_flow(coalescer, free_flow);
  }
  *free_flow = (struct ct_flow){
      .first = packet,
      .header = parsed.header,
      .ip_header = parsed.ip_header,
      .size = parsed.payload,
      .payload = parsed.payload,
      .next_sequence = parsed.sequence + parsed.payload,
      .is_v6 = parsed.is_v6,
      .is_closed = packet[parsed.ip_header + tcp_flags] & flag_psh,
  };
  free_flow->pieces[0] = (struct iovec){&free_flow->vnet, sizeof free_flow->vnet};
  free_flow->pieces[1] = (struct iovec){packet, length};
  free_flow->count = 2;
}

void ct_coalescer_flush(struct ct_coalescer *coalescer) {
  for (int index = 0; index < ct_flow_count; index++) {
    if (coalescer->flows[index].count) write_flow(coalescer, &coalescer->flows[index]);
  }
}
